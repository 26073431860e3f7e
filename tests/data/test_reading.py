"""Files as they are seen: Pillow's own turning is the reference."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from davae.data.folder import read
from davae.data.reading import ORIENTATION, read_rgb, upright_size

LOSSLESS = {"jpg": {"quality": 100}, "webp": {"lossless": True}}


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_set_upright_and_its_size_known_before(tmp_path, ending, orientation):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    exif, path = Image.Exif(), tmp_path / f"image.{ending}"
    exif[ORIENTATION] = orientation
    Image.fromarray(pixels).save(path, exif=exif, **LOSSLESS.get(ending, {}))
    expected = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    assert expected.size == ((20, 30) if orientation > 4 else (30, 20))
    assert upright_size(path) == read_rgb(path).size == expected.size
    np.testing.assert_array_equal(read_rgb(path), expected)


def test_a_size_is_read_without_decoding(tmp_path, monkeypatch):
    path = tmp_path / "image.png"
    Image.new("RGB", (30, 20)).save(path)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it was decoded"))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("decoded"))
    assert upright_size(path) == (30, 20)


def test_an_image_larger_than_pillow_decodes_is_named(tmp_path, monkeypatch):
    path = tmp_path / "large.png"
    Image.new("L", (300, 200)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match=r"large\.png cannot be read as an image"):
        read(path)
