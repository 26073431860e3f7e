"""The distance of samples on the image tower of clip_tiny."""

import numpy as np
import pytest
import torch
from PIL import Image

from davae.core.presets import PRESETS
from davae.core.records import read_measurements
from davae.features.clip import load_clip
from davae.stages.artifacts import crops
from davae.stages.graph import graph
from davae.stages.tower import tower_stage
from tests.fingerprints import NANO_CLIP


def unbiased(x, y):
    """Squared MMD with the kernel (x y / d + 1)^3 (Bińkowski et al. 2018), term by term."""

    def kernel(a, b):
        return (a @ b / len(a) + 1) ** 3

    n, m = len(x), len(y)
    own = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    other = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return own + other - 2 * sum(kernel(a, b) for a in x for b in y) / (n * m)


def test_the_distance_is_that_of_the_towers_features_to_fresh_crops(nano):
    pipeline, _, _ = nano
    stages = graph(PRESETS["nano"])
    stage = tower_stage(PRESETS["nano"], stages, NANO_CLIP)
    ((row, found),) = read_measurements(pipeline.path(stage))
    assert (row, found.metric) == ("adapted", "gkd_clip_tiny")
    clip = load_clip(str(pipeline.path(stage.upstream["clip_tiny"]) / "clip_tiny"))

    def features(images):
        shown = [clip.preprocess(Image.fromarray(image.transpose(1, 2, 0))) for image in images]
        with torch.no_grad():
            return clip.model.encode_image(torch.stack(shown), normalize=True).double().numpy()

    samples = np.load(pipeline.path(stages["samples"]) / "images.npy")
    fresh, _ = crops(pipeline.path(stages["crops"]), "fresh")
    expected = unbiased(features(samples), features(fresh))
    assert found.value == pytest.approx(expected, rel=1e-3)
