"""Distances between two sets of features, and a linear probe on them."""

from __future__ import annotations

import numpy as np
from cleanfid.fid import frechet_distance
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    """|mu_x - mu_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^1/2) of features [N, d], covariances with N - 1.

    clean-fid's function. Biased upward by O(d / N): raises ValueError for N below 10 d.
    """
    for features in (x, y):
        if len(features) < 10 * features.shape[1]:
            given = f"{len(features)} samples of {features.shape[1]} dimensions"
            raise ValueError(f"the Frechet distance of {given} is mostly bias; at least 10 per dimension are needed")
    moments = [(f.mean(0, dtype=np.float64), np.cov(f.astype(np.float64), rowvar=False)) for f in (x, y)]
    return float(frechet_distance(*moments[0], *moments[1]))


def kernel(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased MMD^2 with the kernel (x.y / d + 1)^3 over all pairs i != j; may be negative.

    The U-statistic of Gretton et al. (2012, Lemma 6), h(i, j) = k(x_i, x_j) + k(y_i, y_j)
    - k(x_i, y_j) - k(x_j, y_i): unbiased also where y_i depends on x_i, as a reconstruction does.
    Uses every sample once, so there is nothing random in it. x, y: [N, d] with one N >= 2.
    """
    if x.shape != y.shape or len(x) < 2:
        raise ValueError(f"the kernel distance compares two [N, d] arrays of one N >= 2, not {x.shape} and {y.shape}")
    x, y = x.astype(np.float64), y.astype(np.float64)
    n, d = x.shape

    def gram(a: np.ndarray, b: np.ndarray) -> float:
        k = (a @ b.T / d + 1) ** 3
        return float(k.sum() - np.trace(k))

    return (gram(x, x) + gram(y, y) - 2 * gram(x, y)) / (n * (n - 1))


def linear_probe(features: np.ndarray, labels: np.ndarray) -> Pipeline:
    """Multinomial logistic regression on standardised features; `.score(x, y)` is the accuracy."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    return probe.fit(features, labels)


def nearest_distance(images: np.ndarray, training: np.ndarray, chunk: int = 256) -> np.ndarray:
    """Root-mean-square pixel distance (0..255) of each uint8 image to its nearest training image.

    images [N, 3, H, W], training [M, 3, H, W] -> [N]. Small for copies; a memorising model's
    samples lie nearer than fresh real crops do.
    """
    flat = training.reshape(len(training), -1).astype(np.float32)
    norms = (flat**2).sum(1)
    found = []
    for start in range(0, len(images), chunk):
        part = images[start : start + chunk].reshape(-1, flat.shape[1]).astype(np.float32)
        squares = (part**2).sum(1)[:, None] + norms - 2 * part @ flat.T
        found.append(np.sqrt(np.maximum(squares.min(1), 0) / flat.shape[1]))
    return np.concatenate(found)
