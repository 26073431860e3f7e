"""How evenly an embedding fills its plane, a proxy of how easily a latent space is generated.

As in VA-VAE (Yao & Wang 2025): a kernel density of the points, and how unequal its values are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import gaussian_kde

GRID = 64


@dataclass(frozen=True)
class Uniformity:
    """Of a density's values over a grid; even: 0, 0, 1."""

    variation: float
    """Standard deviation over mean."""
    gini: float
    """0: equal everywhere; 1 - 1/n: all in one of n cells."""
    entropy: float
    """-sum p log p / log n, in [0, 1]."""


def uniformity(density: np.ndarray) -> Uniformity:
    """Of non-negative values of any shape."""
    p = np.sort(density.ravel().astype(np.float64))
    if not p.sum() > 0:
        raise ValueError("a density needs a positive sum")
    p /= p.sum()
    n = len(p)
    gini = float(2 * (np.arange(1, n + 1) * p).sum() / n - (n + 1) / n)
    positive = p[p > 0]
    return Uniformity(
        float(p.std() / p.mean()), gini, float(-(positive * np.log(positive)).sum() / np.log(n))
    )


def embedding_density(points: np.ndarray) -> np.ndarray:
    """Gaussian kernel density (Scott's bandwidth) of [N, 2] on a 64 x 64 grid over their bounding
    box."""
    low, high = points.min(0), points.max(0)
    axes = [np.linspace(a, b, GRID) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(2, -1)
    return gaussian_kde(points.T)(grid).reshape(GRID, GRID)
