"""Mean and variance of channels over a set that is seen in parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import torch


@dataclass(frozen=True)
class Spread:
    """Of each channel, over samples and positions."""

    count: int
    """Values of a channel."""
    mean: torch.Tensor
    """[C]."""
    variance: torch.Tensor
    """[C], unbiased."""

    @staticmethod
    def of(latents: torch.Tensor) -> Spread:
        """Of latents [N, C, h, w]."""
        rows = latents.transpose(0, 1).flatten(1)
        return Spread(rows.shape[1], rows.mean(1), rows.var(1))

    def __add__(self, other: Spread) -> Spread:
        """Of both sets together (Chan et al. 1983)."""
        count = self.count + other.count
        apart = other.mean - self.mean
        squares = (self.count - 1) * self.variance + (other.count - 1) * other.variance
        squares = squares + apart.square() * (self.count * other.count / count)
        mean = self.mean + apart * (other.count / count)
        return Spread(count, mean, squares / (count - 1))


def spread(parts: Iterable[torch.Tensor]) -> Spread:
    """Of latents [n, C, h, w] in parts; of one part it is that part's, to the last bit."""
    return reduce(Spread.__add__, map(Spread.of, parts))
