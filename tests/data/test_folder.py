"""A folder of images."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from davae.core.data_config import DataConfig
from davae.data.crops import draw_crops, load_source

DATA = DataConfig()


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
