"""Intervals and tests over seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Interval:
    """A mean and its two-sided confidence interval; infinite where it cannot be estimated."""

    mean: float
    low: float
    high: float
    n: int
    p: float = 1.0
    """Of Student's two-sided test that the mean is 0; 1 where it cannot be made."""

    def text(self) -> str:
        """`low … high`, or `one seed`."""
        return "one seed" if self.n < 2 else f"{self.low:.4g} … {self.high:.4g}"


def t_interval(values: list[float] | np.ndarray, confidence: float = 0.95) -> Interval:
    """Student's interval of the mean; with a single value it is (-inf, inf)."""
    x = np.asarray(values, np.float64)
    if len(x) == 0:
        raise ValueError("an interval needs at least one value")
    mean = float(x.mean())
    if len(x) == 1:
        return Interval(mean, -math.inf, math.inf, 1)
    error = float(x.std(ddof=1) / math.sqrt(len(x)))
    half = float(stats.t.ppf((1 + confidence) / 2, len(x) - 1)) * error
    if error == 0.0:
        return Interval(mean, mean, mean, len(x), float(mean == 0.0))
    p = float(2 * stats.t.sf(abs(mean) / error, len(x) - 1))
    return Interval(mean, mean - half, mean + half, len(x), p)


def paired_difference(
    a: dict[int, float], b: dict[int, float], confidence: float = 0.95
) -> Interval:
    """The interval of a - b over the seeds that both have; raises ValueError if there is none."""
    seeds = sorted(set(a) & set(b))
    if not seeds:
        raise ValueError(f"no seed in common: {sorted(a)} and {sorted(b)}")
    return t_interval([a[s] - b[s] for s in seeds], confidence)


def holm(p: list[float]) -> list[float]:
    """Holm's adjusted p-values (Holm 1979): the k-th smallest of m times m - k + 1, never falling,
    at most 1."""
    order = np.argsort(p, kind="stable")
    adjusted, largest = [1.0] * len(p), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = largest
    return adjusted
