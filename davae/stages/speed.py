"""How many images a second are sampled and decoded, as the machine is when it is measured."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from davae.core.environment import machine
from davae.core.experiment import SampleConfig
from davae.core.records import Measurement, write_measurements
from davae.core.runtime import Runtime
from davae.measure.timing import timed
from davae.stages.stage import Stage, Work, rested_on

REPEATS, BATCHES = 3, 2


def speed_stage(images: Stage, row: str) -> Stage | None:
    """The speed of what makes a stage's images from sampled latents: it reads all that they read
    and makes a few of them again. None where the latents are not of a stage `sampled`."""
    parts = {part.key: part for part in rested_on([images]) if of_samples(part)}
    drawn = [part for part in parts.values() if part.name == "sampled"]
    if len(drawn) != 1:
        return None
    read = {
        f"{part.key}/{role}": up
        for part in parts.values()
        for role, up in part.upstream.items()
        if not of_samples(up)
    }
    (sampled,) = drawn
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
    """sampling_img_per_s: of the fastest of REPEATS attempts at `count` images, so that a moment of
    other work does not tell; what runs beside all of them does. The networks are loaded, and
    compiled, in each, which is little beside the sampling on a CPU and much on a GPU."""
    seconds = min(remade(images, work, count) for _ in range(REPEATS))
    protocol = (
        f"the fastest of {REPEATS} attempts at {count} images in {sample.num_inference_steps} "
        f"steps, networks loaded in each; {place(work.runtime)}"
    )
    measured = Measurement(
        "sampling_img_per_s", count / seconds, count, higher_is_better=True, protocol=protocol
    )
    write_measurements(work.folder, {arm: [measured]})


def place(runtime: Runtime) -> str:
    """What a speed is of: speeds of two places are not compared."""
    if runtime.kind == "cuda":
        return f"{torch.cuda.get_device_name(runtime.device)}, {runtime.dtype or 'float32'}"
    threads = runtime.threads or machine()["threads"]
    return f"{machine()['cpu']}, {threads} threads, {runtime.dtype or 'float32'}"


def remade(images: Stage, work: Work, count: int) -> float:
    """Seconds of making `count` images, from the sampling of their latents on; they are thrown
    away."""
    seconds, made = 0.0, dict[str, Path]()

    def make(part: Stage, folder: Path) -> Path:
        nonlocal seconds
        if part.key not in made:
            inputs = {
                role: make(up, folder) if of_samples(up) else work.inputs[f"{part.key}/{role}"]
                for role, up in part.upstream.items()
            }
            own = folder / part.key
            own.mkdir()
            config = {**part.config, "count": count} if part.name == "sampled" else part.config
            given = replace(work, folder=own, inputs=inputs)
            seconds += timed(lambda: part.make(given, **config), work.runtime.device)[0]
            made[part.key] = own
        return made[part.key]

    with TemporaryDirectory() as folder:
        make(images, Path(folder))
    return seconds
