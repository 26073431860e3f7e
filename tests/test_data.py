from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from davae.core.experiment import DataConfig
from davae.data.crops import draw_crops, draw_images, load_source, plan_crop
from davae.data.photos import PHOTOS, split_boxes
from davae.data.pixels import downsample, to_uint8, to_unit, upsample
from davae.data.source import Region, Source

DATA = DataConfig()
SOURCE = load_source(DATA)


def overlap(a, b):
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def test_training_and_heldout_regions_of_every_photograph_are_disjoint():
    source = load_source(DATA)
    assert source.classes == tuple(photo.name for photo in PHOTOS)
    assert len(source.classes) == 13
    for name, train, heldout in zip(source.classes, source.train, source.heldout, strict=True):
        assert len(train) == len(heldout) == (2 if name == "motorcycle" else 1)
        for a, b in zip(train, heldout, strict=True):
            assert overlap(a.box, b.box) == 0
            assert min(a.size) >= DATA.max_crop_px
            assert min(b.size) >= DATA.max_crop_px - 1


def test_the_stereo_pair_keeps_its_disparity_apart():
    source = load_source(DATA)
    at = source.classes.index("motorcycle")
    for a, b in zip(source.train[at], source.heldout[at], strict=True):
        assert b.box[0] - a.box[2] >= 60  # the largest disparity of the pair


def test_no_heldout_pixel_is_seen():
    """On an image whose held-out part is white and whose rest is black, no training crop has a
    white pixel."""
    image = Image.new("RGB", (300, 200))
    (train, held) = split_boxes(image.size, 0.0, 0.25, 96, 0)
    image.paste((255, 255, 255), held)
    region = [Region("x", box, 0.8, lambda: image) for box in (train, held)]
    source = Source(("x",), ((region[0],),), ((region[1],),))
    for split in ("train", "fresh"):
        assert draw_crops(DATA, source, 0, split, 200)[0].max() == 0
    assert draw_crops(DATA, source, 0, "heldout", 50)[0].min() == 255


def test_split_boxes_by_hand():
    assert split_boxes((400, 300), 0.0, 0.25, 50, 10) == ((0, 0, 290, 300), (300, 0, 400, 300))
    assert split_boxes((300, 400), 0.1, 0.5, 50, 0) == ((30, 40, 270, 200), (30, 200, 270, 360))
    assert split_boxes((400, 300), 0.0, 0.25, 120, 0)[1] == (280, 0, 400, 300)


def test_crops_depend_on_seed_split_and_index_only():
    few, labels = draw_crops(DATA, SOURCE, 0, "train", 26)
    more, _ = draw_crops(DATA, SOURCE, 0, "train", 39)
    assert np.array_equal(few, more[:26])
    assert labels.tolist() == [i % 13 for i in range(26)]
    assert not np.array_equal(few, draw_crops(DATA, SOURCE, 1, "train", 26)[0])
    assert not np.array_equal(few, draw_crops(DATA, SOURCE, 0, "fresh", 26)[0])


def test_crops_stay_inside_and_vary():
    source = load_source(DATA)
    plan = [plan_crop(DATA, source, 0, "train", i) for i in range(1300)]
    for crop in plan:
        width, height = source.train[crop.label][crop.region].size
        assert 0 <= crop.left <= width - crop.side
        assert 0 <= crop.top <= height - crop.side
        assert DATA.min_crop_px <= crop.side <= DATA.max_crop_px
    assert 0.45 < np.mean([c.flip for c in plan]) < 0.55
    sides = np.log([c.side for c in plan])
    assert np.mean(sides) == pytest.approx(np.log(48 * 96) / 2, abs=0.02)  # log-uniform
    assert {c.region for c in plan if c.label == 10} == {0, 1}  # both images of the pair


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


def test_folder_makes_classes_of_its_subfolders(images):
    config = replace(DATA, name="folder", path=str(images))
    source = load_source(config)
    assert source.classes == ("cat", "dog")
    for train, held in zip(source.train, source.heldout, strict=True):
        assert len(train) == 3
        assert {r.name for r in train}.isdisjoint({r.name for r in held})
    crops, labels = draw_crops(config, source, 0, "heldout", 6)
    assert crops.shape == (6, 3, 64, 64)
    assert labels.tolist() == [0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (
            lambda top: (top / "cat" / "bad.png").write_text("not an image"),
            "bad.png cannot be read",
        ),
        (
            lambda top: Image.new("RGB", (40, 90)).save(top / "dog" / "small.png"),
            "small.png is 40x90 px",
        ),
        (lambda top: (top / "empty").mkdir(), "empty holds no images"),
        (
            lambda top: Image.new("RGB", (90, 90)).save(top / "loose.png"),
            "loose.png lies beside class folders",
        ),
        (
            lambda top: [p.unlink() for p in sorted((top / "dog").iterdir())[1:]],
            "class 'dog' has 1 image",
        ),
    ],
)
def test_folder_errors_say_which_file(images, break_it, message):
    break_it(images)
    with pytest.raises(ValueError, match=message):
        load_source(replace(DATA, name="folder", path=str(images)))


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(ValueError, match="not a directory"):
        load_source(replace(DATA, name="folder", path=str(tmp_path / "none")))


def test_scenes_are_a_data_set_like_the_others():
    config = DataConfig(name="scenes", train_crops=12, eval_crops=24)
    images, labels, classes = draw_images(config, 0, "heldout", 24)
    assert images.shape == (24, 3, 64, 64)
    assert labels.tolist() == [i % 6 for i in range(24)]
    assert classes[:2] == ["circle", "square"]
    large, _, _ = draw_images(replace(config, resolution_px=256), 0, "heldout", 1)
    small = large[0].reshape(3, 64, 4, 64, 4).mean((2, 4))
    assert np.abs(small - images[0]).mean() < 10  # the same scene at another resolution
