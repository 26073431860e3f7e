"""The clock of all cases: the device's, or one that plays back times measured elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch

from davae.measure.timing import Clock, synchronise


class Source:
    """perf_counter, or a time that moves only when it is told to."""

    def __init__(self) -> None:
        self.told: float | None = None

    def __call__(self) -> float:
        """Seconds."""
        return time.perf_counter() if self.told is None else self.told

    def wait(self, device: str | torch.device) -> None:
        """Wait for every device that may be busy: pytest-benchmark knows none."""
        for index in range(torch.cuda.device_count()):
            synchronise(f"cuda:{index}")


SOURCE = Source()
CLOCK = Clock(now=SOURCE, wait=SOURCE.wait)
"""What pytest-benchmark reads."""


def replayed(benchmark: Any, seconds: Sequence[float]) -> None:
    """Give the benchmark these times as its rounds."""
    rounds, SOURCE.told = iter(seconds), 0.0

    def play() -> None:
        assert SOURCE.told is not None
        SOURCE.told += next(rounds)

    try:
        benchmark.pedantic(play, rounds=len(seconds), iterations=1)
    finally:
        SOURCE.told = None
