"""What images cost: the training that they rest on, and their sampling."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from davae.core.records import Measurement
from davae.core.store import SUMMARY
from davae.measure.timing import timed
from davae.stages.stage import Pipeline, Stage, Work, rested_on


def training_cost(pipeline: Pipeline, stage: Stage) -> list[Measurement]:
    """TFLOP and seconds of all the training that a row's images rest on, base models and decoder
    included; not of what is read for its size alone."""
    trained: dict[str, tuple[float, float]] = {}
    waiting = [stage]
    while waiting:
        part = waiting.pop()
        scratch = part.name == "adapted" and part.config["adapt"].init == "scratch"
        shape_alone = {"base_dit"} if scratch else set()
        waiting += [stage for role, stage in part.upstream.items() if role not in shape_alone]
        summary = pipeline.store.folder(part.name, part.key) / SUMMARY
        if not summary.exists():
            continue
        counted = json.loads(summary.read_text())
        seconds = pipeline.store.manifest(part.name, part.key)["seconds"]
        trained[part.key] = (counted["steps"] * counted["flops_step"] / 1e12, seconds)
    tflop, seconds = (sum(values) for values in zip((0.0, 0.0), *trained.values(), strict=True))
    everything = "base models and decoder included"
    return [
        Measurement(name, value, 1, higher_is_better=False, protocol=f"{source}, {everything}")
        for name, value, source in (
            ("training_tflop", tflop, "counted"),
            ("training_seconds", seconds, "wall clock"),
        )
    ]


REPEATS, BATCHES = 3, 2


def sampling_speed(pipeline: Pipeline, stage: Stage) -> Measurement:
    """Images a second of sampling and decoding the images of a stage `samples`: the fastest of
    REPEATS attempts at BATCHES batches, loading the networks included, so that what else the
    machine does for a while does not tell. A pipeline's images, which are large, are those of the
    stage as it ran."""
    if not samples_latents(stage):
        count = len(np.load(pipeline.path(stage) / "labels.npy"))
        seconds = pipeline.store.manifest(stage.name, stage.key)["seconds"]
        protocol = "wall clock of the stage"
    else:
        sampled = next(part for part in rested_on([stage]) if part.name == "sampled")
        count = min(sampled.config["count"], BATCHES * sampled.config["sample"].batch_size)
        seconds = min(remade(pipeline, stage, count) for _ in range(REPEATS))
        protocol = f"the fastest of {REPEATS} attempts at {count} images, networks loaded in each"
    return Measurement(
        "sampling_img_per_s", count / seconds, count, higher_is_better=True, protocol=protocol
    )


def samples_latents(stage: Stage) -> bool:
    """Whether a stage samples latents or makes something of those that another one samples."""
    return stage.name == "sampled" or any(samples_latents(up) for up in stage.upstream.values())


def remade(pipeline: Pipeline, stage: Stage, count: int) -> float:
    """Seconds of making a stage, and those that it reads samples of, for `count` images; what is
    made is thrown away."""
    seconds = 0.0

    def make(part: Stage, folder: Path) -> Path:
        nonlocal seconds
        inputs = {
            role: make(up, folder) if samples_latents(up) else pipeline.path(up)
            for role, up in part.upstream.items()
        }
        own = folder / part.key
        own.mkdir()
        config = {**part.config, "count": count} if part.name == "sampled" else part.config
        work = Work(own, inputs, pipeline.runtime)
        seconds += timed(lambda: part.make(work, **config), pipeline.runtime.device)[0]
        return own

    with TemporaryDirectory() as folder:
        make(stage, Path(folder))
    return seconds
