"""Patches at native resolution."""

import numpy as np
import pytest

from davae.core.experiment import EvalConfig
from davae.data.mapped import give_back, new_array
from davae.data.pixels import downsample, to_uint8, to_unit
from davae.stages.patches import OF_IMAGE, Patches, patch_measurements


def textured(seed, count=24, side=96):
    """Smooth images with fine noise on them."""
    random = np.random.default_rng(seed)
    smooth = (
        random.integers(40, 200, (count, 3, side // 16, side // 16)).repeat(16, 2).repeat(16, 3)
    )
    return (smooth + random.integers(-40, 40, (count, 3, side, side))).clip(0, 255).astype(np.uint8)


def test_patches_are_parts_of_their_images_at_places_of_their_own():
    images = textured(0)
    patches = Patches(images, 32)
    assert patches.shape == (OF_IMAGE * 24, 3, 32, 32)
    for i in (0, 5, 95):
        top, left = patches.corners[i]
        assert np.array_equal(
            patches[i], images[i // OF_IMAGE][:, top : top + 32, left : left + 32]
        )
    assert np.array_equal(patches[3:9], np.stack([patches[i] for i in range(3, 9)]))
    assert len(np.unique(patches.corners, axis=0)) > 90
    assert 0 <= patches.corners.min() <= patches.corners.max() <= 64
    assert patches.corners.max() > 55
    assert np.array_equal(Patches(images[:3], 32).corners, patches.corners[:12])
    with pytest.raises(ValueError, match="no patches of 100 px"):
        Patches(images, 100)


def test_patches_of_a_file_give_its_memory_back(tmp_path):
    file = new_array(tmp_path / "images.npy", np.uint8, (4, 3, 40, 40))
    assert Patches(file, 32)._mmap is file._mmap
    give_back(Patches(file, 32))
    give_back(Patches(np.asarray(file[:]), 32))  # nothing to give back


def test_patches_tell_fine_texture():
    """Images whose fine texture is gone are far on patches, others with it near."""
    real, other = textured(0), textured(1)
    blurred = to_uint8(downsample(to_unit(other), 3, True)).repeat(3, 2).repeat(3, 3)
    metrics = EvalConfig(input_px=32, blocks=3, metrics=("kd",))
    far, near = (
        patch_measurements(images, real, metrics, "cpu", "heldout")[0]
        for images in (blurred, other)
    )
    assert far.metric == near.metric == "gpkd_effnet"
    assert far.value > 10 * abs(near.value)
    assert patch_measurements(real[..., :32, :32], real, metrics, "cpu", "heldout") == []
