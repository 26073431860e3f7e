"""Fingerprints of every stage's output at nano: a changed output needs a raised version.

`python -m tests.fingerprints STORE` builds what the store lacks and rewrites
tests/nano_fingerprints.json."""

import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from davae.core.experiment import TrainConfig
from davae.core.presets import PRESETS
from davae.core.runtime import Runtime
from davae.core.store import Store
from davae.stages.clip_tiny import clip_tiny_stage
from davae.stages.graph import analyses
from davae.stages.run_graph import run_stages
from davae.stages.stage import Pipeline, Stage
from davae.train.clip import ClipConfig

NANO_CLIP = ClipConfig(scenes=96, train=TrainConfig(steps=2, batch_size=16, lr=1e-3))
COMMITTED = Path(__file__).with_name("nano_fingerprints.json")


def numbers(folder: Path) -> dict[str, np.ndarray]:
    """The numbers of an artifact: arrays and joined weights by file, measured values one by one."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".npy":
            found[name] = np.load(path)
        elif path.suffix == ".npz" and path.name != "embeddings.npz":
            content = np.load(path)
            found |= {
                f"{name} {k}": content[k] for k in content.files if content[k].dtype.kind in "fiu"
            }
        elif path.suffix == ".safetensors":
            found[name] = np.concatenate([v.ravel() for _, v in sorted(load_file(path).items())])
        elif path.name == "metrics.json":
            rows = [
                row for row in json.loads(path.read_text()) if not row["metric"].startswith(CHAOTIC)
            ]
            found |= {
                f"{name} {row['arm']} {row['metric']}": np.array([row["value"]]) for row in rows
            }
    return found


CHAOTIC = ("variation_", "gini_", "entropy_", "stability_")
"""Metrics of a t-SNE embedding, which another processor's rounding changes altogether."""


def fingerprint(store: Store, stage: Stage) -> dict:
    """Version, key, and for every array its root mean square and a fixed random projection.

    The projection, onto a random direction of unit variance over sqrt(n), moves by about the root
    mean square of any change.
    """
    files = {}
    for name, values in numbers(store.folder(stage.name, stage.key)).items():
        x = values.astype(np.float64).ravel()
        direction = np.random.default_rng(0).standard_normal(len(x))
        files[name] = [float(np.sqrt((x**2).mean())), float(x @ direction / np.sqrt(len(x)))]
    return {"version": stage.version, "key": stage.key, "files": files}


def differences(old: dict, new: dict) -> list[str]:
    """Names of arrays that came, went or moved by more than 1% of their size (metrics: 3%, or
    0.02)."""
    moved = sorted(set(old) ^ set(new))
    for name in sorted(set(old) & set(new)):
        size = abs(old[name][0])
        allowed = max(0.03 * size, 0.02) if name.startswith("metrics.json") else 0.01 * size
        if any(abs(a - b) > allowed for a, b in zip(old[name], new[name], strict=True)):
            moved.append(name)
    return moved


def all_fingerprints(pipeline: Pipeline) -> dict:
    """Of every stage there is, built at nano where it is not yet."""
    e = PRESETS["nano"]
    stages = {**run_stages(e), **analyses(e), "clip_tiny": clip_tiny_stage(NANO_CLIP)}
    del stages["speed"]  # a clock's reading is another every time
    for stage in stages.values():
        pipeline.path(stage)
    return {role: fingerprint(pipeline.store, stage) for role, stage in stages.items()}


if __name__ == "__main__":
    prints = all_fingerprints(Pipeline(Store(Path(sys.argv[1])), Runtime()))
    COMMITTED.write_text(json.dumps(prints, indent=1, sort_keys=True) + "\n")
