"""What images show and whether they are copies: a linear probe, the nearest training image."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler


def linear_probe(
    features: np.ndarray, labels: np.ndarray, inverse_penalty: float = 0.1
) -> Pipeline:
    """Multinomial logistic regression on standardised features [N, d]; `.score(x, y)` is the
    accuracy.

    inverse_penalty: C of scikit-learn; the smaller, the stronger the L2 penalty.
    """
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=inverse_penalty, max_iter=2000))
    return probe.fit(features, labels)


def nearest_distance(images: np.ndarray, training: np.ndarray, block: int = 2048) -> np.ndarray:
    """Root-mean-square pixel distance (0..255) of each uint8 image to its nearest training image.

    images [N, 3, H, W], training [M, 3, H, W] -> [N]. Small for copies; a memorising model's
    samples lie nearer than fresh real crops do. Memory beside the images holds one block of
    training."""
    own = torch.from_numpy(images).flatten(1).float()
    best = torch.full((len(own),), torch.inf)
    for start in range(0, len(training), block):
        part = torch.from_numpy(training[start : start + block]).flatten(1).float()
        apart = torch.addmm(part.square().sum(1), own, part.T, alpha=-2)  # |b|^2 - 2 a.b
        best = torch.minimum(best, apart.min(1).values)
    return ((best + own.square().sum(1)).clamp(min=0) / own.shape[1]).sqrt().numpy()
