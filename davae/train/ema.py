"""Exponential moving averages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class EMA:
    """Exponential moving average of parameters, d_n = min(decay, (1 + n) / (10 + n)), beside them
    or in the host's memory."""

    def __init__(self, parameters: list[nn.Parameter], decay: float, on_host: bool = False):
        self.parameters, self.decay, self.on_host = parameters, decay, on_host
        self.average = [self.beside(p.detach()).clone() for p in parameters]

    def beside(self, tensor: torch.Tensor) -> torch.Tensor:
        """The tensor where the average is."""
        return tensor.cpu() if self.on_host else tensor

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the parameters after step number `step`."""
        decay = min(self.decay, (1 + step) / (10 + step))
        now = [self.beside(p.detach()) for p in self.parameters]
        torch._foreach_lerp_(self.average, now, 1 - decay)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """The parameters hold the average inside the block."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange parameters and average."""
        for parameter, average in zip(self.parameters, self.average, strict=True):
            current = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(current)
