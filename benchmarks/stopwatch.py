"""What the headline measures: seconds of single scenarios, a real pair, and a tiled decode."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, TypeVar

import torch

from benchmarks.networks import autoencoder, experiment_of, grid, normal, weights_dtype
from benchmarks.prediction import PRESET
from benchmarks.runner import release
from benchmarks.scenarios import Form, Scenario
from benchmarks.workloads import workload
from davae.core.runtime import Runtime
from davae.measure.timing import Clock, warm_up

T = TypeVar("T")
ROUNDS = {512: 5, 1024: 3, 2048: 1}
"""Timed runs by resolution on a CPU, after one that is not counted."""
GPU_ROUNDS = 5
"""On a GPU, after a warm-up."""
LONG_SECONDS = 60.0
"""A first run that takes longer is the one that counts, where one is asked for."""
BATCH = {512: 10, 1024: 10, 2048: 2}
"""Images at once on a GPU, which one would not fill (the paper's 10); 1 on a CPU."""
PAIR_PX, PAIR_STEPS = 1024, 2
"""The real end-to-end pair."""
TILED_PX = 2048


@dataclass(frozen=True)
class Place:
    """Where and in what the headline is measured."""

    device: str = "cpu"
    dtype: str = "float32"
    small: bool = False
    """Stand-ins, to test the command."""

    @property
    def on_gpu(self) -> bool:
        """Whether it is a GPU."""
        return self.device.startswith("cuda")

    def kind(self, batch: int) -> str:
        """The protocol of what is measured here, that many images at once."""
        return f"measured, {self.dtype}, batch {batch}{', stand-ins' if self.small else ''}"

    def batch(self, px: int) -> int:
        """Images at once."""
        return BATCH.get(px, 1) if self.on_gpu else 1

    def scenario(self, stage: str, form: Form, px: int, **changes: Any) -> Scenario:
        """A scenario of SD3.5-Medium here."""
        settings = {
            "dtype": self.dtype, "small": self.small, "batch": self.batch(px), **changes,
        }  # fmt: skip
        return Scenario(PRESET, stage, form, resolution_px=px, **settings)  # type: ignore[arg-type]


def released(measure: Callable[[], Any], device: str) -> Any:
    """The result of `measure()`, its networks' memory given back."""
    with torch.inference_mode():
        result = measure()
    release(device)
    return result


def apart(place: Place, runtime: Runtime, measure: Callable[..., T], *arguments: Any) -> T:
    """`measure(*arguments)`, on a CPU at full size in a process of its own, which starts with all
    of the memory: a heap from which gigabytes were freed holds on to some of them."""
    if place.small or place.device != "cpu":
        return measure(*arguments)
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=runtime.apply) as pool:
        return pool.submit(measure, *arguments).result()


def seconds_of(s: Scenario, device: str) -> list[float]:
    """Seconds an image, round by round."""
    on_gpu = device.startswith("cuda")
    rounds = GPU_ROUNDS if on_gpu else ROUNDS.get(s.resolution_px, 1)

    def measure() -> list[float]:
        built, clock = workload(s, device), Clock(device)
        first = clock.timed(built.run)[0]
        if on_gpu:
            warm_up(built.run, clock)
        if rounds == 1 and first > LONG_SECONDS:
            return [first / s.batch]
        return [clock.timed(built.run)[0] / s.batch for _ in range(rounds)]

    return released(measure, device)


def pair_seconds(form: Form, place: Place) -> dict[str, float]:
    """Seconds an image of the parts of a real sampling of two steps, and of all: text, denoising,
    decode; on a GPU after one that is not counted.

    In bfloat16 on any device: three text encoders and the transformer fill 16 GB."""
    s = place.scenario("sample", form, PAIR_PX, steps=PAIR_STEPS, dtype="bfloat16")

    def measure() -> dict[str, float]:
        built, clock = workload(s, place.device), Clock(place.device)
        if place.on_gpu:
            built.run()
        parts = {name: clock.timed(part)[0] / s.batch for name, part in built.parts.items()}
        return {**parts, "all": sum(parts.values())}

    return released(measure, place.device)


def tiled_seconds(place: Place) -> dict[str, float]:
    """Seconds of diffusers' tiled decode at TILED_PX by the base VAE, in tiles of half the side
    (1024 px, as SD3's config says), and its difference from the whole decode on the scale [-1, 1].
    On a GPU the median of GPU_ROUNDS after one that is not counted; on a CPU one of each, after a
    decode of one tile."""
    s = place.scenario("decode", "native", TILED_PX, batch=1)
    e = experiment_of(s)
    (channels, side), clock = grid(e, s), Clock(place.device)

    def measure() -> dict[str, float]:
        vae = autoencoder(e, s, place.device)
        z = normal((1, channels, side, side), place.device, weights_dtype(s))

        def timed_decode() -> tuple[float, torch.Tensor]:
            if not place.on_gpu:
                release(place.device)
                return clock.timed(lambda: vae.decode(z).sample)
            image = vae.decode(z).sample
            return median([clock.timed(lambda: vae.decode(z))[0] for _ in range(GPU_ROUNDS)]), image

        if not place.on_gpu:
            vae.decode(z[..., : side // 2, : side // 2])
        whole, image = timed_decode()
        vae.enable_tiling()
        vae.tile_latent_min_size = side // 2
        vae.tile_sample_min_size = e.data.resolution_px // 2
        tiled, other = timed_decode()
        difference = (image - other).abs()
        return {
            "whole_s": whole,
            "tiled_s": tiled,
            "tiled_difference": float(difference.max()),
            "tiled_difference_mean": float(difference.mean()),
        }

    return released(measure, place.device)


def median(times: list[float]) -> float:
    """The middle one."""
    return statistics.median(times)
