"""Do two figures order things alike? Spearman's rank correlation and its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from davae.analysis.stats import LEVEL, Interval
from davae.analysis.tables import extractor_of

LEAST = 10
"""Pairs, below which there is no interval: it would cover too little of a strong correlation."""
FEWEST = 5
"""Pairs, below which no order is surely another one: of 4, two of 24 orderings are the extremes."""
ORDERINGS = 9_999
"""Random ones of a permutation test, where there are more than that many."""


def rank_correlation(
    x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray, confidence: float = 0.95
) -> Interval:
    """Spearman's correlation of n pairs, with the p-value of a permutation test, exact up to seven
    pairs, and Bonett and Wright's interval (2000): Fisher's z with the variance
    (1 + r^2 / 2) / (n - 3); (-1, 1) for fewer than LEAST pairs. The z of a perfect correlation is
    infinite: that of half a step below it is taken.

    Raises ValueError where one of the two is constant or they differ in length."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(x) != len(y) or len(x) < 2:
        raise ValueError(f"{len(x)} and {len(y)} values; give as many of both, at least 2")
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        raise ValueError("one of the two is constant: it orders nothing")
    n, (ranks_x, ranks_y) = len(x), (stats.rankdata(values) for values in (x, y))
    r = float(np.corrcoef(ranks_x, ranks_y)[0, 1])
    p = permuted(ranks_x, ranks_y)
    if n < LEAST:
        return Interval(r, -1.0, 1.0, n, p)
    most = 1 - 6 / (n * (n**2 - 1))  # swapping two neighbours takes 12 / (n (n^2 - 1))
    z = math.atanh(float(np.clip(r, -most, most)))
    half = float(stats.norm.ppf((1 + confidence) / 2)) * math.sqrt((1 + r**2 / 2) / (n - 3))
    return Interval(r, math.tanh(z - half), math.tanh(z + half), n, p)


def permuted(x: np.ndarray, y: np.ndarray) -> float:
    """The two-sided p-value of a correlation of ranks: how often orderings of one of the two, all
    of them or ORDERINGS random ones, reach it."""
    apart = y - y.mean()
    found = stats.permutation_test(
        (x,), lambda values, axis: np.sum(values * apart, axis=axis),
        permutation_type="pairings", n_resamples=ORDERINGS, vectorized=True, axis=0,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    return float(found.pvalue)


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
            if len(by) < 3 or (by[[first, other]].nunique() < 2).any():
                continue  # too few, or alike in all arms, as reconstructions of one autoencoder
            found = rank_correlation(by[first], by[other])
            word = "alike" if found.mean > 0 and found.p < LEVEL else "not surely alike"
            if found.n < FEWEST:
                word = "in a way that so few cannot be sure of"
            bounds = f", {found.low:.2f} … {found.high:.2f}" if found.n >= LEAST else ""
            sentences.append(
                f"{metric}: {first} and {other} order the {len(by)} arms {word} (rank correlation "
                f"{found.mean:.2f}{bounds}, p {found.p:.2g})."
            )
    return sentences
