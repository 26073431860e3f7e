"""Linear probe and nearest crops."""

import numpy as np
import pytest

from davae.core.presets import PRESETS
from davae.data.crops import draw_images
from davae.metrics.content import linear_probe, nearest_distance, nearest_ratio
from davae.stages.judging import features_of


def test_probe_by_hand():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = rng.standard_normal((60, 5)) + 6 * np.eye(5)[labels]
    probe = linear_probe(features, labels)
    assert probe.score(features, labels) == 1.0
    assert probe.score(features, (labels + 1) % 3) == 0.0


def test_nearest_by_hand():
    training = np.array([[0.0, 0.0], [10.0, 0.0]])
    images = np.array([[3.0, 4.0], [10.0, 1.0], [10.0, 0.0]])
    assert nearest_distance(images, training) == pytest.approx([5.0, 1.0, 0.0])
    unseen = np.array([[3.0, 2.0], [10.0, 3.0], [99.0, 99.0]])  # as many as training: two
    assert nearest_ratio(images, training, unseen) == pytest.approx([2.5, 0.5, 0.0])


def test_copies_and_near_copies_stand_out_and_fresh_crops_do_not():
    data = PRESETS["nano"].data
    training = draw_images(data, 0, "train", 260)[0]
    unseen, more = draw_images(data, 0, "fresh", 260)[0], draw_images(data, 1, "fresh", 130)[0]
    judged = {
        "copied": training[:130],
        "shifted": np.roll(training[:130], (2, -2), (2, 3)),
        "fresh": more,
    }
    probe = PRESETS["nano"].eval.probe
    sets = {**judged, "training": training, "unseen": unseen}
    features = {name: features_of(images, probe, "cpu") for name, images in sets.items()}
    ratio = {
        name: np.median(nearest_ratio(features[name], features["training"], features["unseen"]))
        for name in judged
    }
    assert ratio["copied"] == pytest.approx(0, abs=1e-3)
    assert ratio["shifted"] < 0.8
    assert ratio["fresh"] == pytest.approx(1, abs=0.06)
