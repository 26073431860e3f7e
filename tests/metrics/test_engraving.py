"""Reading engraved lines and the content of scenes."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from davae.data.pixels import downsample, to_uint8, to_unit, upsample
from davae.data.scenes import COLOURS, ENGRAVINGS, scenes
from davae.metrics.engraving import detail_accuracy, read_lines
from davae.metrics.scene_content import content_accuracy, read_content


@pytest.fixture(scope="module")
def real():
    """(images, labels, what they show) of 960 scenes."""
    images, _, shown = scenes(64, 1, "fresh", list(range(960)))
    return images, np.array([s.label for s in shown]), shown


def reduced(images):
    """Bicubically halved, and enlarged again."""
    return to_uint8(upsample(downsample(to_unit(images), 2, False), 2))


def uint8(images):
    return images.clip(0, 255).round().astype(np.uint8)


def test_the_engraving_of_real_scenes_is_read(real):
    images, labels, shown = real
    assert detail_accuracy(images, labels).mean() >= 0.99
    assert detail_accuracy(images, np.roll(labels, 1)).mean() < 0.01  # the next class's
    lines = read_lines(images)
    upright = np.array([s.engraving == "upright" for s in shown])
    assert lines.upright.amplitude[upright].mean() == pytest.approx(1.0, abs=0.01)
    assert lines.level.energy[upright].mean() < 0.01 * lines.upright.energy[upright].mean()


def test_a_reduced_scene_shows_none(real):
    images, labels, _ = real
    for antialias in (False, True):
        small = downsample(to_unit(images), 2, antialias)
        accuracy = detail_accuracy(to_uint8(upsample(small, 2)), labels).mean()
        assert accuracy == pytest.approx(0.25, abs=0.04)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda x, a: x + np.random.default_rng(0).normal(0, 40 * a, x.shape),
        lambda x, a: gaussian_filter(x, (0, 0, 1.2 * a, 1.2 * a)) if a else x,
        lambda x, a: (1 - a) * x + a * reduced(uint8(x)),
    ],
    ids=["noise", "blur", "mixing"],
)
def test_spoiling_lowers_the_accuracy(real, spoil):
    images, labels, _ = real
    levels = [uint8(spoil(images.astype(float), a)) for a in (0, 0.25, 0.5, 0.75, 1)]
    accuracies = [detail_accuracy(x, labels).mean() for x in levels]
    assert (np.diff(accuracies) <= 0.01).all(), accuracies
    assert accuracies[0] >= 0.99
    assert accuracies[-1] == pytest.approx(0.25, abs=0.05)


def test_an_edge_is_no_line():
    """A plain square at every offset to the blocks, and a ramp of steps."""
    images = np.full((4, 3, 64, 64), 25, np.uint8)
    for i, image in enumerate(images):
        image[:, 11 + i % 2 : 50, 10 + i // 2 : 51] = 205
    assert not read_lines(images).shown.any()
    steps = np.repeat(np.arange(0, 256, 8, np.uint8), 2)
    assert not read_lines(np.broadcast_to(steps, (1, 3, 64, 64)).copy()).shown.any()


def test_lines_by_hand():
    images = np.full((3, 3, 32, 32), 128, np.uint8)
    images[0, :, 4:20, 8], images[0, :, 4:20, 9] = 168, 88  # 8 blocks of amplitude 40
    images[1, :, 8, 4:20], images[1, :, 9, 4:20] = 168, 88
    images[2, :, 4:20, 9], images[2, :, 4:20, 10] = 168, 88  # across two blocks
    lines = read_lines(images)
    # runs of 3 blocks: 6 lie on the line whole, 2 by two thirds, 2 by one third, below 0.4
    assert list(lines.upright.places) == [8, 0, 0]
    assert list(lines.level.places) == [0, 8, 0]
    assert list(lines.shown) == [1, 2, 0]
    assert lines.upright.energy[0] == pytest.approx((6 + 2 * 4 / 9 + 2 / 9) * 40**2)
    assert lines.upright.amplitude[0] == pytest.approx((6 + 2 * 2 / 3 + 2 / 3) / 10)
    with pytest.raises(ValueError, match="31x32 px"):
        read_lines(images[..., :31])


def test_content_is_of_the_base_resolution(real):
    images, labels, shown = real
    assert content_accuracy(images, labels).mean() >= 0.99
    assert content_accuracy(reduced(images), labels).mean() >= 0.99
    wrong_shape = (labels + len(ENGRAVINGS)) % 24
    assert content_accuracy(images, wrong_shape).mean() <= 0.01
    colours = [list(COLOURS)[read_content(image)[1]] for image in images]
    assert np.mean([c == s.colour for c, s in zip(colours, shown, strict=True)]) >= 0.99
    grey = np.broadcast_to(images.mean(1, keepdims=True), images.shape).astype(np.uint8)
    assert content_accuracy(grey, labels).mean() <= 0.01  # no colour of the scenes
    assert content_accuracy(np.full_like(images, 90), labels).sum() == 0
