"""The one timer: it waits for the device before it reads the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

T = TypeVar("T")
STEADY = 0.05
"""Warm-up ends when two runs in a row differ by less than this share of the shorter one."""
MOST_WARMUP_RUNS = 10
GPU_SECONDS = 0.5
LONG_SECONDS = 5.0
"""A run that takes longer, after the first one, is taken as steady."""


def synchronise(device: str | torch.device) -> None:
    """Wait until the device has done all that it was given; a CPU has."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True)
class Clock:
    """Seconds of a device: called, it waits for the device and then reads the time."""

    device: str | torch.device = "cpu"
    now: Callable[[], float] = time.perf_counter
    wait: Callable[[str | torch.device], None] = synchronise

    def __call__(self) -> float:
        """The time, when the device has done all that it was given."""
        self.wait(self.device)
        return self.now()

    @property
    def name(self) -> str:
        """What it reads, for records."""
        waits = torch.device(self.device).type == "cuda"
        return "perf_counter after synchronisation" if waits else "perf_counter"

    def timed(self, run: Callable[[], T]) -> tuple[float, T]:
        """(seconds, result) of `run()`."""
        start = self()
        result = run()
        return self() - start, result

    def block(self, run: Callable[[], object], count: int) -> float:
        """Seconds of one `run`, over a block of `count`."""

        def repeated() -> None:
            for _ in range(count):
                run()

        return self.timed(repeated)[0] / count


def warm_up(run: Callable[[], object], clock: Clock) -> tuple[float, ...]:
    """Seconds of the runs after a first one, until two in a row agree (STEADY); at most
    MOST_WARMUP_RUNS and none after one of LONG_SECONDS. On a GPU, whose clock rises for a while and
    whose host prepares the first runs, at least GPU_SECONDS in all."""
    later = [clock.timed(run)[0]]
    least = GPU_SECONDS if torch.device(clock.device).type == "cuda" else 0.0
    while later[-1] <= LONG_SECONDS and (sum(later) < least or len(later) < MOST_WARMUP_RUNS):
        later.append(clock.timed(run)[0])
        if sum(later) >= least and abs(later[-1] - later[-2]) < STEADY * min(later[-2:]):
            break
    return tuple(later)


def timed(run: Callable[[], T], device: str | torch.device = "cpu") -> tuple[float, T]:
    """(seconds, result) of `run()`."""
    return Clock(device).timed(run)


def block_seconds(
    run: Callable[[], object], count: int, device: str | torch.device = "cpu"
) -> float:
    """Seconds of one `run`, over a block of `count`."""
    return Clock(device).block(run, count)
