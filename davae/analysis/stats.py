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


def t_interval(values: list[float] | np.ndarray, confidence: float = 0.95) -> Interval:
    """Student's interval of the mean; with a single value it is (-inf, inf)."""
    x = np.asarray(values, np.float64)
    if len(x) == 0:
        raise ValueError("an interval needs at least one value")
    mean = float(x.mean())
    if len(x) == 1:
        return Interval(mean, -math.inf, math.inf, 1)
    half = float(stats.t.ppf((1 + confidence) / 2, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x)))
    return Interval(mean, mean - half, mean + half, len(x))


def paired_difference(
    a: dict[int, float], b: dict[int, float], confidence: float = 0.95
) -> Interval:
    """The interval of a - b over the seeds that both have; raises ValueError if there is none."""
    seeds = sorted(set(a) & set(b))
    if not seeds:
        raise ValueError(f"no seed in common: {sorted(a)} and {sorted(b)}")
    return t_interval([a[s] - b[s] for s in seeds], confidence)
