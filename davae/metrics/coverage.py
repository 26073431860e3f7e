"""Precision, recall, density and coverage of generated against real features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import pairwise_distances_chunked
from sklearn.neighbors import NearestNeighbors

from davae.metrics.distribution import check_pair

NEIGHBOURS = 5


@dataclass(frozen=True)
class Coverage:
    """Shares in [0, 1], but for density, which may exceed 1."""

    precision: float
    """Share of generated samples inside a ball of the real manifold (Kynkaanniemi et al. 2019)."""
    recall: float
    """Share of real samples inside a ball of the generated manifold."""
    density: float
    """Mean number of real balls that hold a generated sample, over k (Naeem et al. 2020)."""
    coverage: float
    """Share of real balls that hold a generated sample."""


def radii(features: np.ndarray, k: int = NEIGHBOURS) -> np.ndarray:
    """Distance of each sample to its k-th nearest other sample: [N, d] -> [N]."""
    if len(features) <= k:
        raise ValueError(
            f"balls of {k} neighbours need more than {k} images; {len(features)} given"
        )
    return NearestNeighbors(n_neighbors=k).fit(features).kneighbors()[0][:, -1]


def coverage(generated: np.ndarray, real: np.ndarray, k: int = NEIGHBOURS) -> Coverage:
    """The four figures of [N, d] features, balls reaching to the k-th neighbour."""
    check_pair(generated, real)
    real_radii, generated_radii = radii(real, k), radii(generated, k)
    inside_real, balls, covered, inside_generated = 0, 0, np.zeros(len(real), bool), 0
    start = 0
    for distances in pairwise_distances_chunked(real, generated):
        rows = slice(start, start + len(distances))
        covered[rows] = (distances <= real_radii[rows, None]).any(1)
        inside_generated += int((distances <= generated_radii).any(1).sum())
        start += len(distances)
    for distances in pairwise_distances_chunked(generated, real):
        within = distances <= real_radii
        inside_real += int(within.any(1).sum())
        balls += int(within.sum())
    n = len(real)
    return Coverage(inside_real / n, inside_generated / n, balls / (k * n), float(covered.mean()))
