"""Running an ablation: every arm at every seed over cached stages, recorded arm by arm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from davae.core import records
from davae.core.experiment import Experiment
from davae.core.hashing import sha256
from davae.core.records import read_measurements
from davae.stages.stage import Pipeline
from davae.sweep.ablation import Ablation, Arm
from davae.sweep.report import report

SIDECARS = "sidecars"
NOT_THE_ARM = ("davae_zeroed", "davae_random", "davae_exchanged", "real_heldout")
"""Rows of a stage's measurements that are of the arm's DA-VAE without its own detail."""
FAILURES = (ValueError, ArithmeticError, RuntimeError, OSError)
"""What a failed arm may raise and still leave a record: a bad config, a diverged training, torch's,
or a file that cannot be read or written."""


def run_ablation(
    ablation: Ablation,
    base: Experiment,
    *,
    preset: str,
    seeds: list[int],
    pipeline: Pipeline,
    out: Path,
    names: tuple[str, ...] = (),
) -> Path:
    """Run every arm, or those of these names, at every seed that has no record yet; write table,
    findings and figure.

    A failed arm leaves one record with its error and the others go on.
    """
    folder = out / preset / "ablations" / ablation.name
    folder.mkdir(parents=True, exist_ok=True)
    run_id = records.new_run_id()
    for seed in seeds:
        for arm in chosen_arms(ablation, ablation.seeded(base, seed), names):
            run_arm(
                ablation,
                arm,
                folder,
                pipeline,
                identity={
                    "run_id": run_id,
                    "preset": preset,
                    "base_seed": base.base_seed,
                    "seed": seed,
                },
            )
    report(ablation, ablation.arms(base), folder)
    return folder


def chosen_arms(ablation: Ablation, base: Experiment, names: tuple[str, ...]) -> tuple[Arm, ...]:
    """The arms of these names, or all; raises ValueError for a name that no arm has."""
    arms = ablation.arms(base)
    there = [arm.name for arm in arms]
    unknown = [name for name in names if name not in there]
    if unknown:
        raise ValueError(
            f"{ablation.name} has no arm {', '.join(unknown)}; arms: {', '.join(there)}"
        )
    return tuple(arm for arm in arms if not names or arm.name in names)


def run_arm(
    ablation: Ablation, arm: Arm, folder: Path, pipeline: Pipeline, *, identity: dict[str, Any]
) -> None:
    """Measure an arm at a seed and append its rows, or one row with the error, unless it is
    recorded already."""
    path, key, label = folder / "records.jsonl", ablation.key(arm), f"{ablation.name}: {arm.name}"
    label += f", seed {identity['seed']}"
    if is_recorded(path, arm.name, key):
        pipeline.announce(f"{label}: recorded already")
        return
    pipeline.announce(label)
    columns: dict[str, Any] = {
        **identity, "suite": "ablation", "ablation": ablation.name, "key": key,
        "recipe": ablation.recipe(arm), "arm": arm.name,
        "factor": arm.factor, "level": arm.level, "reference": arm.reference,
        "series": arm.series,
    }  # fmt: skip
    try:
        measured = measure_arm(ablation, arm, pipeline)
        columns |= keep_sidecars(ablation, arm, identity["seed"], pipeline, folder / SIDECARS)
    except FAILURES as error:
        failed = {
            **records.row(**columns),
            "status": "failed",
            "error": f"{type(error).__name__}: {error}",
        }
        records.append(path, [failed])
        pipeline.announce(f"{label} failed: {error}")
        return
    records.append(path, [records.row(**columns, **values) for values in measured])


def measure_arm(ablation: Ablation, arm: Arm, pipeline: Pipeline) -> list[dict[str, Any]]:
    """The measured columns of an arm, a dict a measurement."""
    stages = arm.stages()
    absent = [role for role in ablation.measured if role not in stages]
    if absent:
        raise ValueError(f"the arm has no stage {', '.join(absent)}; set the ablation's `measured`")
    rows = [
        row for role in ablation.measured for row in read_measurements(pipeline.path(stages[role]))
    ]
    return [
        m.columns() for row, m in rows if m.metric in ablation.metrics and row not in NOT_THE_ARM
    ]


def keep_sidecars(
    ablation: Ablation, arm: Arm, seed: int, pipeline: Pipeline, folder: Path
) -> dict[str, str]:
    """Copy the arm's sidecars below `folder` under names with their hash; {`sidecar_ROLE`: file
    name}."""
    kept = {}
    for role, name in ablation.sidecars.items():
        content = (pipeline.path(arm.stages()[role]) / name).read_bytes()
        file = folder / f"{arm.name}.seed{seed}.{role}.{sha256([content])}{Path(name).suffix}"
        folder.mkdir(exist_ok=True)
        file.write_bytes(content)
        kept[f"sidecar_{role}"] = file.name
    return kept


def is_recorded(path: Path, arm: str, key: str) -> bool:
    """Whether the arm has measured values under the key of its experiment."""
    if not path.exists():
        return False
    frame = records.load_records(path)
    return bool(((frame["arm"] == arm) & (frame["key"] == key) & (frame["status"] == "ok")).any())
