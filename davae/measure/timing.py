"""The one timer: it waits for the device before it reads the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")


def synchronise(device: str | torch.device) -> None:
    """Wait until the device has done all that it was given; a CPU has."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def timed(run: Callable[[], T], device: str | torch.device = "cpu") -> tuple[float, T]:
    """(seconds, result) of `run()`."""
    synchronise(device)
    start = time.perf_counter()
    result = run()
    synchronise(device)
    return time.perf_counter() - start, result


def block_seconds(
    run: Callable[[], object], count: int, device: str | torch.device = "cpu"
) -> float:
    """Seconds of one `run`, over a block of `count`."""

    def block() -> None:
        for _ in range(count):
            run()

    return timed(block, device)[0] / count
