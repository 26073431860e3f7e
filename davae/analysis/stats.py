"""Intervals and tests over seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

LEVEL = 0.05
"""Of every test."""
EQUAL = 1e-12
"""Values that differ by less than this share are one value, rounded."""


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
    if np.ptp(x) <= EQUAL * float(np.abs(x).max()):
        return Interval(float(x[0]), float(x[0]), float(x[0]), len(x), float(x[0] == 0.0))
    error = float(x.std(ddof=1) / math.sqrt(len(x)))
    half = float(stats.t.ppf((1 + confidence) / 2, len(x) - 1)) * error
    p = float(2 * stats.t.sf(abs(mean) / error, len(x) - 1))
    return Interval(mean, mean - half, mean + half, len(x), p)


def detectable_effect(interval: Interval, level: float = 0.05, power: float = 0.8) -> float:
    """The smallest true mean that Student's two-sided test would find with this power, at the
    interval's number of values and their spread; infinite where there is one value.

    From the noncentral t distribution; its spread is the estimated one, which few seeds leave
    uncertain."""
    if interval.n < 2:
        return math.inf
    freedom = interval.n - 1
    error = (interval.high - interval.mean) / float(stats.t.ppf(0.975, freedom))
    if error == 0.0:
        return 0.0
    limit = float(stats.t.ppf(1 - level / 2, freedom))

    def missing(shift: float) -> float:  # the other tail holds nothing where the power is large
        return float(stats.nct.sf(limit, freedom, shift)) - power

    high = 1.0
    while missing(high) < 0:
        high *= 1.5
    return error * float(optimize.brentq(missing, 0.0, high))


def equal_margin(interval: Interval, power: float = 0.8) -> float:
    """The smallest margin within which the 95% interval of a true mean of 0 would lie with this
    power, at the interval's number of values and their spread; infinite where there is one value.

    Means are normal and deviations, apart from them, chi distributed around the estimated one."""
    if interval.n < 2:
        return math.inf
    freedom = interval.n - 1
    limit = float(stats.t.ppf(0.975, freedom))
    spread = stats.chi(freedom, scale=1 / math.sqrt(freedom))

    def missing(margin: float) -> float:
        kept = spread.expect(lambda s: 2 * stats.norm.cdf(margin - limit * s) - 1, lb=0.0,
                             ub=margin / limit)  # fmt: skip
        return float(kept) - power

    high = limit
    while missing(high) < 0:
        high *= 1.5
    return (interval.high - interval.mean) / limit * float(optimize.brentq(missing, 0.0, high))


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
