"""Fingerprints of every stage's output at nano: a changed output needs a raised version.

`python -m tests.fingerprints STORE` rewrites tests/nano_fingerprints.json from a store in which
`davae run nano` has run.
"""

import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from davae.presets import PRESETS
from davae.run import run_stages
from davae.stages.stage import Stage
from davae.store import Store

COMMITTED = Path(__file__).with_name("nano_fingerprints.json")


def arrays(folder: Path) -> dict[str, np.ndarray]:
    """The numbers of an artifact, by file: arrays, weights joined, and measured values."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".npy":
            found[name] = np.load(path)
        elif path.suffix == ".safetensors":
            found[name] = np.concatenate([v.ravel() for _, v in sorted(load_file(path).items())])
        elif path.name == "metrics.json":
            found[name] = np.array([row["value"] for row in json.loads(path.read_text())])
    return found


def fingerprint(store: Store, stage: Stage) -> dict:
    """Version, key, and mean and root mean square of every file."""
    files = {}
    for name, values in arrays(store.folder(stage.name, stage.key)).items():
        x = values.astype(np.float64)
        files[name] = [float(x.mean()), float(np.sqrt((x**2).mean()))]
    return {"version": stage.version, "key": stage.key, "files": files}


def all_fingerprints(store: Store) -> dict:
    return {role: fingerprint(store, stage) for role, stage in run_stages(PRESETS["nano"]).items()}


if __name__ == "__main__":
    COMMITTED.write_text(json.dumps(all_fingerprints(Store(Path(sys.argv[1]))), indent=1, sort_keys=True) + "\n")
