"""Crops."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from davae.core.data_config import DataConfig
from davae.data.crops import draw_crops, draw_images, load_source, plan_crop, planned

DATA = DataConfig()


SOURCE = load_source(DATA)


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


def test_crops_of_files_take_each_file_of_a_class_before_any_twice(images):
    config = DataConfig(
        name="folder", path=str(images), resolution_px=32, min_crop_px=32, max_crop_px=64,
        heldout_fraction=0.25,
    )  # fmt: skip
    source = load_source(config)
    crops = planned(config, source, 0, "train", 14)
    assert [c.label for c in crops] == [0, 1] * 7
    for label in (0, 1):
        regions = [c.region for c in crops if c.label == label]
        assert sorted(regions[:3]) == sorted(regions[3:6]) == [0, 1, 2]
    assert planned(config, source, 0, "train", 6) == crops[:6]
    assert planned(config, source, 1, "train", 14) != crops


def test_scenes_are_a_data_set_like_the_others():
    config = DataConfig(name="scenes", train_crops=12, eval_crops=24)
    images, labels, classes = draw_images(config, 0, "heldout", 24)
    assert images.shape == (24, 3, 64, 64)
    assert labels.tolist() == list(range(24))
    assert classes[:2] == ["circle, plain", "circle, upright"]
    large, _, _ = draw_images(replace(config, resolution_px=256), 0, "heldout", 1)
    small = large[0].reshape(3, 64, 4, 64, 4).mean((2, 4))
    assert np.abs(small - images[0]).mean() < 10  # the same scene at another resolution
