"""Intervals that the drawing of its samples leaves around a measured value."""

from __future__ import annotations

import math

import numpy as np

from davae.core.records import Measurement

Z95 = 1.959963984540054
"""The normal quantile of a two-sided 95% interval."""


def around(value: float, standard_error: float) -> tuple[float, float]:
    """value -+ 1.96 standard errors."""
    return value - Z95 * standard_error, value + Z95 * standard_error


def mean_of(metric: str, values: np.ndarray) -> Measurement:
    """The mean of per-image values [N] with the interval of its standard error."""
    mean = float(values.mean())
    if len(values) < 2:
        return Measurement(metric, mean, len(values), note="a single image has no interval")
    low, high = around(mean, float(values.std(ddof=1)) / math.sqrt(len(values)))
    return Measurement(metric, mean, len(values), low, high)


def score_interval(value: float, biased: float, linear: float, pairs: float) -> tuple[float, float]:
    """95% interval of a squared distance theta from its unbiased estimate `value`.

    The variance of such an estimate has a second-order part, `pairs`, which is all of it at theta =
    0, and a first-order part proportional to theta, whose infinitesimal jackknife is `linear` where
    the biased distance is `biased`. The interval is the set of theta with (value - theta)^2 <= z^2
    (pairs + max(theta, 0) linear / biased), as Wilson's is for a proportion: valid at theta = 0,
    where a jackknife counts the second order twice (Efron & Stein 1981), and equal to the
    jackknife's far from it. It always holds `value`, which like its lower end may be negative."""
    slope = linear / biased if biased > 0 else 0.0
    low, high = around(value, math.sqrt(pairs))
    middle = value + Z95**2 * slope / 2
    half = math.sqrt(max(middle**2 - value**2 + Z95**2 * pairs, 0.0))
    return (middle - half if low > 0 else low), (middle + half if high > 0 else high)
