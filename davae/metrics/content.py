"""What images show and whether they are copies: a linear probe, the nearest training image."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler


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
