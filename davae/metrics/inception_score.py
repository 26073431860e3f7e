"""The Inception Score of class probabilities, whichever classifier they come from."""

from __future__ import annotations

import math

import numpy as np

from davae.core.records import Measurement
from davae.metrics.interval import around

SHUFFLE_SEED = 2020
"""Seed of the shuffle before the splits, which torch-fidelity uses too."""


def inception_score(probabilities: np.ndarray, splits: int = 10) -> Measurement:
    """exp E KL(p(y|x) | p(y)) over `splits` parts of the shuffled samples, averaged (Salimans et
    al. 2016).

    probabilities [N, K], rows sum to 1. The interval is from the spread of the splits; the score
    itself is biased downward with few samples a split."""
    n = len(probabilities)
    if probabilities.ndim != 2 or not np.allclose(probabilities.sum(1), 1, atol=1e-3):
        raise ValueError(
            "the score takes class probabilities [N, K] whose rows sum to 1; given "
            f"{probabilities.shape}"
        )
    if n < 2 * splits:
        raise ValueError(f"{splits} splits need at least {2 * splits} images; {n} given")
    order = np.random.RandomState(SHUFFLE_SEED).permutation(n)
    p = np.maximum(probabilities.astype(np.float64), 1e-300)[order]
    scores = []
    for i in range(splits):
        part = p[i * n // splits : (i + 1) * n // splits]
        divergence = (part * (np.log(part) - np.log(part.mean(0)))).sum(1)
        scores.append(np.exp(divergence.mean()))
    value, classes = float(np.mean(scores)), probabilities.shape[1]
    note = f"N / splits = {n // splits} < {classes} classes: the score is biased downward"
    if n // splits >= classes:
        note = ""
    if splits == 1:
        return Measurement("is", value, n, note=note)
    low, high = around(value, float(np.std(scores, ddof=1)) / math.sqrt(splits))
    return Measurement("is", value, n, low, high, note=note)
