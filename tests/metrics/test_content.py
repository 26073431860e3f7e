"""Linear probe and nearest image."""

import numpy as np
import pytest

from davae.metrics.content import linear_probe, nearest_distance


def test_probe_and_nearest():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = rng.standard_normal((60, 5)) + 6 * np.eye(5)[labels]
    probe = linear_probe(features, labels)
    assert probe.score(features, labels) == 1.0
    assert probe.score(features, (labels + 1) % 3) == 0.0
    training = rng.integers(0, 256, (20, 3, 16, 16), np.uint8)
    moved = training[[7]].astype(np.int16)
    moved = np.where(moved > 127, moved - 3, moved + 3).astype(np.uint8)
    near = nearest_distance(np.concatenate([training[[4]], moved]), training)
    assert near.tolist() == pytest.approx([0.0, 3.0], abs=0.05)
