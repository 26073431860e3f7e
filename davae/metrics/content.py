"""What images show and whether they are copies: a linear probe, the nearest training crop."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

ENTRIES = 4_000_000
"""Distances that are in memory at once."""


def linear_probe(
    features: np.ndarray, labels: np.ndarray, inverse_penalty: float = 0.1
) -> Pipeline:
    """Multinomial logistic regression on standardised features [N, d]; `.score(x, y)` is the
    accuracy.

    inverse_penalty: C of scikit-learn; the smaller, the stronger the L2 penalty.
    """
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=inverse_penalty, max_iter=2000))
    return probe.fit(features, labels)


def nearest_distance(features: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Euclidean distance of each row [N, d] to the nearest of the candidates [M, d]: [N]."""
    b = candidates.astype(np.float64)
    sizes, rows = (b**2).sum(1), max(1, ENTRIES // len(b))
    nearest = []
    for start in range(0, len(features), rows):
        a = features[start : start + rows].astype(np.float64)
        nearest.append(((a**2).sum(1)[:, None] + sizes - 2 * a @ b.T).min(1))
    return np.sqrt(np.concatenate(nearest).clip(0))


def nearest_ratio(features: np.ndarray, training: np.ndarray, unseen: np.ndarray) -> np.ndarray:
    """Distance of each image to the nearest training crop over that to the nearest unseen crop, as
    many candidates of each, in features: [N].

    For images that owe nothing to the training crops both are distances to draws of one
    distribution, so that the median is 1; for copies it is 0."""
    count = min(len(training), len(unseen))
    own, other = (nearest_distance(features, c[:count]) for c in (training, unseen))
    return own / np.maximum(other, 1e-12)
