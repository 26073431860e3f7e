"""How many images a second are sampled and decoded, beside whatever else the machine does."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from davae.core.experiment import SampleConfig
from davae.core.records import Measurement, write_measurements
from davae.measure.timing import timed
from davae.stages.stage import Stage, Work, rested_on

REPEATS, BATCHES = 3, 2


def speed_stage(images: Stage, row: str) -> Stage:
    """The speed of what makes a stage's images from sampled latents: it reads all that they read
    and makes a few of them again."""
    parts = {part.name: part for part in rested_on([images]) if of_samples(part)}
    read = {
        f"{part.name}/{role}": up
        for part in parts.values()
        for role, up in part.upstream.items()
        if not of_samples(up)
    }
    sampled = parts["sampled"]
    sample: SampleConfig = sampled.config["sample"]
    config = {
        "sample": sample,
        "count": min(sampled.config["count"], BATCHES * sample.batch_size),
        "arm": row,
    }
    upstream = {"samples": images, "dit": sampled.upstream["dit"], **read}
    return Stage("speed", 1, partial(make_speed, images), config, upstream)


def of_samples(stage: Stage) -> bool:
    """Whether a stage samples latents, or makes something of those that another one samples."""
    return stage.name == "sampled" or any(of_samples(up) for up in stage.upstream.values())


def make_speed(images: Stage, work: Work, sample: SampleConfig, count: int, arm: str) -> None:
    """sampling_img_per_s: of the fastest of REPEATS attempts at `count` images, the networks loaded
    in each, so that what else the machine does for a while does not tell."""
    seconds = min(remade(images, work, count) for _ in range(REPEATS))
    protocol = (
        f"the fastest of {REPEATS} attempts at {count} images in {sample.num_inference_steps} "
        "steps, networks loaded in each"
    )
    measured = Measurement(
        "sampling_img_per_s", count / seconds, count, higher_is_better=True, protocol=protocol
    )
    write_measurements(work.folder, {arm: [measured]})


def remade(images: Stage, work: Work, count: int) -> float:
    """Seconds of making `count` images, from the sampling of their latents on; they are thrown
    away."""
    seconds = 0.0

    def make(part: Stage, folder: Path) -> Path:
        nonlocal seconds
        inputs = {
            role: make(up, folder) if of_samples(up) else work.inputs[f"{part.name}/{role}"]
            for role, up in part.upstream.items()
        }
        own = folder / part.name
        own.mkdir()
        config = {**part.config, "count": count} if part.name == "sampled" else part.config
        given = replace(work, folder=own, inputs=inputs)
        seconds += timed(lambda: part.make(given, **config), work.runtime.device)[0]
        return own

    with TemporaryDirectory() as folder:
        make(images, Path(folder))
    return seconds
