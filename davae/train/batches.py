"""Batches on their way to the device."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch

from davae.core import keyed
from davae.core.runtime import Runtime

Batch = tuple[torch.Tensor, ...]


class Batches:
    """The batches of consecutive steps on the device; with `prefetch` the next is drawn beside the
    step.

    A batch is a function of its step alone, so that drawing ahead changes no number.
    """

    def __init__(self, draw: Callable[[int], Batch], steps: int, runtime: Runtime):
        self.draw, self.steps, self.runtime = draw, steps, runtime
        self.pool = ThreadPoolExecutor(1) if runtime.prefetch else None
        self.ahead: dict[int, Future[Batch]] = {}

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *_: object) -> None:
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)

    def of(self, n: int) -> Batch:
        """Step n's batch, copied without waiting where its memory is pinned."""
        if self.pool is None:
            batch = self._host(n)
        else:
            batch = self.ahead.pop(n).result() if n in self.ahead else self._host(n)
            if n + 1 < self.steps:
                self.ahead[n + 1] = self.pool.submit(self._host, n + 1)
        return tuple(part.to(self.runtime.device, non_blocking=True) for part in batch)

    def _host(self, n: int) -> Batch:
        batch = self.draw(n)
        pinned = self.runtime.prefetch and self.runtime.kind == "cuda"
        return tuple(part.pin_memory() for part in batch) if pinned else batch


def chosen(
    epochs: bool, seed: int, purpose: str, n: int, samples: list[int], size: int
) -> torch.Tensor:
    """Which of `size` items the samples of step n are: each once an epoch, or drawn."""
    if epochs:
        return keyed.in_turn(seed, purpose, samples, size)
    return keyed.choose(seed, purpose, n, samples, size)
