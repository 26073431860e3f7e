"""Do two figures order things alike? Spearman's rank correlation and its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from davae.analysis.stats import Interval
from davae.analysis.tables import extractor_of

LEAST = 5
"""Pairs, below which there is no interval."""


def rank_correlation(
    x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray, confidence: float = 0.95
) -> Interval:
    """Spearman's correlation of n pairs, with Bonett and Wright's interval (2000): Fisher's z with
    the variance (1 + r^2 / 2) / (n - 3); (-1, 1) for fewer than LEAST pairs.

    Raises ValueError where one of the two is constant or they differ in length."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(x) != len(y) or len(x) < 2:
        raise ValueError(f"{len(x)} and {len(y)} values; give as many of both, at least 2")
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        raise ValueError("one of the two is constant: it orders nothing")
    r, p = (float(value) for value in stats.spearmanr(x, y))
    if len(x) < LEAST:
        return Interval(r, -1.0, 1.0, len(x))
    z = math.atanh(float(np.clip(r, -1 + 1e-12, 1 - 1e-12)))
    half = float(stats.norm.ppf((1 + confidence) / 2)) * math.sqrt((1 + r**2 / 2) / (len(x) - 3))
    return Interval(r, math.tanh(z - half), math.tanh(z + half), len(x), p)


def agreement(frame: pd.DataFrame) -> list[str]:
    """A sentence for every metric that several extractors judge: whether they order the arms, by
    their means over seeds, as the first one does."""
    sentences = []
    for metric in frame["metric"].unique():
        rows = frame[frame["metric"] == metric]
        means = rows.groupby([extractor_of(rows["protocol"]).rename("by"), "arm"], sort=False)
        by = means["value"].mean().unstack("by").dropna()
        first, *others = [name for name in by.columns if name] or [""]
        for other in others:
            if len(by) < 3:
                continue
            found = rank_correlation(by[first], by[other])
            word = "alike" if found.low > 0 else "not surely alike"
            sentences.append(
                f"{metric}: {first} and {other} order the {len(by)} arms {word} (rank correlation "
                f"{found.mean:.2f}, {found.low:.2f} … {found.high:.2f})."
            )
    return sentences
