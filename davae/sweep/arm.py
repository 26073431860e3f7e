"""One arm at one seed: measured over cached stages, recorded, its sidecars kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from davae.core import records
from davae.core.hashing import digest, sha256
from davae.core.records import read_measurements
from davae.stages.costs import training_cost
from davae.stages.stage import Pipeline
from davae.sweep.ablation import Ablation, Arm
from davae.sweep.took import keep_times

SIDECARS, SAMPLES = "sidecars", "samples"
SHOWN = 12
"""Samples of an arm that are kept as a picture."""
TRAINING = ("training_tflop", "training_seconds")
"""Metrics of no stage: what `davae.stages.costs` reckons."""
NOT_THE_ARM = ("davae_zeroed", "davae_random", "davae_exchanged", "real_heldout")
"""Rows of a stage's measurements that are of the arm's DA-VAE without its own detail."""
FAILURES = (Exception, SystemExit)
"""What a failed arm may raise and still leave a record: a bad config, a diverged training, torch's,
a file that cannot be read or written, or a mistake in a user's own file."""


def run_arm(
    ablation: Ablation,
    arm: Arm,
    folder: Path,
    pipeline: Pipeline,
    *,
    identity: dict[str, Any],
    planned: str,
    show: bool = False,
) -> str:
    """Measure an arm at a seed and append its rows, or one row with the error, unless it is
    recorded already; returns the error, empty where there is none.

    planned: the key that it had when the sweep started; an arm that has another one by now, as of a
    file that was changed since, is not run. show: keep its first samples as a picture, where what
    was measured has sampled any."""
    path, label = folder / "records.jsonl", f"{ablation.name}: {arm.name}, seed {identity['seed']}"
    columns = columns_of(ablation, arm, identity)
    try:
        columns |= {"key": ablation.key(arm)}
        if planned and columns["key"] != planned:
            raise ValueError("it was declared anew since the sweep started: start it again")
        if is_recorded(rows_of(path), columns):
            pipeline.announce(f"{label}: recorded already")
            return ""
        pipeline.announce(label)
        measured = measure_arm(ablation, arm, pipeline)
        if not measured:
            raise ValueError(
                f"none of the metrics {', '.join(ablation.metrics)} is among what its stages "
                f"{', '.join(ablation.measured)} gave"
            )
        columns |= keep_sidecars(ablation, arm, identity["seed"], pipeline, folder / SIDECARS)
        sampled = arm.stages().get("samples")
        if show and sampled and pipeline.store.has(sampled.name, sampled.key):
            columns["samples"] = keep_samples(arm, columns["key"], pipeline, folder / SAMPLES)
        keep_times(folder, arm, ablation.measured, columns["key"], pipeline.store)
        columns["rows"] = len(measured)
        records.append(path, [records.row(**columns, **values) for values in measured])
    except FAILURES as error:
        text = f"{type(error).__name__}: {error}"
        pipeline.announce(f"{label} failed: {text}")
        record_failure(path, columns, text)
        return text
    return ""


def columns_of(ablation: Ablation, arm: Arm, identity: dict[str, Any]) -> dict[str, Any]:
    """What every row of an arm at a seed has in common."""
    return {
        **identity, "suite": "ablation", "ablation": ablation.name, "key": "", "arm": arm.name,
        "factor": arm.factor, "level": arm.level, "reference": arm.reference, "series": arm.series,
        "base_seed": arm.experiment.base_seed, "asked": asked(ablation),
    }  # fmt: skip


def asked(ablation: Ablation) -> str:
    """A digest of what is recorded of an arm: one that is recorded without a metric that is asked
    for now is measured again, from the store where its stages are there."""
    return digest([sorted(ablation.metrics), ablation.measured, sorted(ablation.sidecars)])


def record_failure(path: Path, columns: dict[str, Any], error: str) -> None:
    """Append a row that says why an arm has no values; a full disk leaves none."""
    try:
        records.append(path, [{**records.row(**columns), "status": "failed", "error": error}])
    except (OSError, ValueError, TypeError) as reason:
        print(f"and the failure could not be recorded: {reason}", flush=True)


def measure_arm(ablation: Ablation, arm: Arm, pipeline: Pipeline) -> list[dict[str, Any]]:
    """The measured columns of an arm, a dict a measurement. What reconstructions and samples are
    both judged by, as whether they show the lines of their class, is of the samples."""
    stages = arm.stages()
    absent = [role for role in ablation.measured if role not in stages]
    if absent:
        raise ValueError(f"the arm has no stage {', '.join(absent)}; set the ablation's `measured`")
    by_role = {
        role: [
            m for row, m in read_measurements(pipeline.path(stages[role])) if row not in NOT_THE_ARM
        ]
        for role in ablation.measured
    }
    of_samples = {m.metric for m in by_role.get("generation", [])}
    measured = [
        m
        for role, found in by_role.items()
        for m in found
        if role == "generation" or m.metric not in of_samples
    ]
    if not ablation.metrics.keys().isdisjoint(TRAINING):
        measured += training_cost(pipeline, stages["generation"])
    return [m.columns() for m in measured if m.metric in ablation.metrics]


def keep_sidecars(
    ablation: Ablation, arm: Arm, seed: int, pipeline: Pipeline, folder: Path
) -> dict[str, str]:
    """Copy the arm's sidecars below `folder` under names with their hash; {`sidecar_ROLE`: file
    name}."""
    kept = {}
    for role, name in ablation.sidecars.items():
        content = (pipeline.path(arm.stages()[role]) / name).read_bytes()
        stem = f"{file_name(arm.name)}.seed{seed}.{role}"
        file = folder / f"{stem}.{sha256([content])}{Path(name).suffix}"
        folder.mkdir(exist_ok=True)
        file.write_bytes(content)
        kept[f"sidecar_{role}"] = file.name
    return kept


def keep_samples(arm: Arm, key: str, pipeline: Pipeline, folder: Path) -> str:
    """The arm's first SHOWN samples side by side, of the noise that all arms share; the file's
    name."""
    images = np.load(pipeline.path(arm.stages()["samples"]) / "images.npy", mmap_mode="r")[:SHOWN]
    folder.mkdir(exist_ok=True)
    strip = np.concatenate(list(images.transpose(0, 2, 3, 1)), axis=1)
    path = folder / f"{file_name(arm.name)}.{key}.png"
    Image.fromarray(strip).save(path)
    return path.name


def file_name(text: str) -> str:
    """The text with everything but letters, digits and a few signs replaced."""
    return re.sub(r"[^\w.=,-]+", "_", text)


def rows_of(path: Path) -> pd.DataFrame:
    """The records of a file that may not be there yet."""
    return records.load_records(path) if path.exists() else pd.DataFrame()


def is_recorded(frame: pd.DataFrame, columns: dict[str, Any]) -> bool:
    """Whether an arm at a seed, by the columns of its rows, has all that is asked for under the key
    of its experiment among these records, in as many rows as were written."""
    if frame.empty or "asked" not in frame:
        return False
    about = {name: columns[name] for name in ("ablation", "preset", "arm", "seed", "key", "asked")}
    same = (frame[list(about)] == pd.Series(about)).all(axis=1)
    found = frame[same & (frame["status"] == "ok")]
    if found.empty or "rows" not in found:
        return len(found) > 0
    written = found.groupby("run_id")["rows"].agg(["size", "max"])
    return bool((written["size"] >= written["max"].fillna(1)).any())
