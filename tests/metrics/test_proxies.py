"""Measures of a latent space that may foretell generation, with known answers."""

import numpy as np
import pytest

from davae.metrics.proxies import global_semantics, local_change, spatial_structure

RANDOM = np.random.default_rng(0)
MAPS = RANDOM.normal(size=(60, 6, 4, 4))


def test_spatial_structure_is_one_for_a_rotation_and_none_for_noise():
    turned, _ = np.linalg.qr(RANDOM.normal(size=(6, 6)))
    rotated = 3 * np.einsum("nchw,cd->ndhw", MAPS, turned) + 1.0  # also shifted and scaled
    assert spatial_structure(rotated, MAPS) == pytest.approx(1.0)
    other = RANDOM.normal(size=(60, 9, 4, 4))
    assert abs(spatial_structure(MAPS, other)) < 0.05
    with pytest.raises(ValueError, match="one grid"):
        spatial_structure(MAPS, other[:, :, :2])


def test_local_change_is_one_where_images_become_others():
    features = RANDOM.normal(size=(4000, 5))
    assert local_change(features, RANDOM.normal(size=(4000, 5))) == pytest.approx(1.0, abs=0.03)
    assert local_change(features, features) == 0.0
    assert local_change(7 * features, 7 * features + 7 * 0.1) == pytest.approx(
        0.1 / 2**0.5, rel=0.03
    )


def test_global_semantics_is_the_kernel_alignment():
    assert global_semantics(MAPS, MAPS.reshape(60, -1)) == pytest.approx(1.0)
    assert abs(global_semantics(MAPS, RANDOM.normal(size=(60, 8)))) < 0.2
