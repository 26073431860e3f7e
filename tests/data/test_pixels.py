"""Pixels."""

import numpy as np
import pytest
import torch
from PIL import Image

from davae.data.pixels import downsample, to_uint8, to_unit, upsample


def test_pixels_round_trip_and_resampling():
    images = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 3, 16, 16)
    assert np.array_equal(to_uint8(to_unit(images)), images)
    x = torch.zeros(1, 3, 8, 8)
    x[..., ::2] = 1.0  # stripes at the Nyquist frequency
    aliased, smooth = downsample(x, 2, antialias=False), downsample(x, 2, antialias=True)
    assert aliased.shape == smooth.shape == (1, 3, 4, 4)
    # bicubic (a = -0.75) at the midpoint: weights -0.09375, 0.59375, 0.59375, -0.09375; stripes
    # give 0.5
    assert aliased[0, 0, 2, 2].item() == pytest.approx(0.5, abs=1e-6)
    ramp = torch.arange(8.0).expand(1, 3, 8, 8)
    assert downsample(ramp, 2, antialias=False)[0, 0, 2, 1].item() == pytest.approx(2.5)
    assert upsample(torch.ones(1, 3, 4, 4), 2).shape == (1, 3, 8, 8)


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(4):
            Image.fromarray(rng.integers(0, 255, (120, 100, 3), np.uint8)).save(
                tmp_path / name / f"{i}.png"
            )
    return tmp_path
