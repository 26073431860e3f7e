"""Which arms no other arm beats in two metrics at once, and how sure that is over seeds."""

from __future__ import annotations

import numpy as np

RESAMPLES = 2_000
LEAST_RESAMPLED = 3
"""Seeds, below which resampling them says nothing."""


def front(points: np.ndarray) -> np.ndarray:
    """The mask [N] of the points [N, 2] that no other point is at least as low as in both
    coordinates and lower in one."""
    x, y = np.asarray(points, np.float64).T
    as_low = (x[:, None] <= x[None]) & (y[:, None] <= y[None])
    lower = (x[:, None] < x[None]) | (y[:, None] < y[None])
    return ~(as_low & lower).any(axis=0)


def front_shares(values: dict[str, np.ndarray], seed: int = 0) -> dict[str, float]:
    """The share of bootstrap resamples of the seeds in which an arm's mean lies on the front.

    values: arm to [seeds, 2], lower is better, the same seeds in the same order: seeds are drawn
    for all arms together, as they share noise and data. Raises ValueError for arms of different
    numbers of seeds."""
    counts = {arm: len(rows) for arm, rows in values.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"arms of different seeds cannot be resampled together: {counts}")
    stacked = np.stack([np.asarray(rows, np.float64) for rows in values.values()])
    random = np.random.default_rng(seed)
    drawn = random.integers(stacked.shape[1], size=(RESAMPLES, stacked.shape[1]))
    on_front = [front(stacked[:, picks].mean(axis=1)) for picks in drawn]
    return dict(zip(values, np.mean(on_front, axis=0).tolist(), strict=True))
