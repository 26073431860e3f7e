"""Sets of images."""

import numpy as np
import pytest
from PIL import Image

from davae.data.image_sets import ArrayImages, open_images, quantise
from davae.features.effnet import effnet
from davae.features.extract import Host, extract


def uint8(seed, n=3, side=16):
    return np.random.default_rng(seed).integers(0, 256, (n, 3, side, side), np.uint8)


@pytest.fixture
def folder(tmp_path):
    top = tmp_path / "pictures"
    for i, image in enumerate(uint8(1, 70, 32)):
        path = top / f"{i % 2}" / f"{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(path)
    return top


def test_unreadable_and_absent_images_are_named(folder, tmp_path):
    (folder / "0" / "000.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"000\.png cannot be read"):
        extract(effnet(Host(), 32, 3), open_images(folder))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no images"):
        open_images(tmp_path / "empty")
    with pytest.raises(ValueError, match="neither a folder"):
        open_images(tmp_path / "absent.zip")


def test_float_rounded_and_truncated_are_three_results():
    x = np.array([-1.2, -1.0, 0.0, 0.5, 1.0, 1.3], np.float32)
    assert quantise(x, "float").tolist() == pytest.approx([0, 0, 127.5, 191.25, 255, 255])
    assert quantise(x, "rounded").tolist() == [0, 0, 128, 191, 255, 255]
    assert quantise(x, "truncated").tolist() == [0, 0, 127, 191, 255, 255]
    assert (quantise(uint8(0), "truncated") == uint8(0)).all()
    images = np.random.default_rng(0).uniform(-1, 1, (4, 3, 32, 32)).astype(np.float32)
    features, digests = {}, set()
    for how in ("float", "rounded", "truncated"):
        of = ArrayImages("x", images, how)
        features[how] = extract(effnet(Host(), 32, 3), of)
        digests.add(of.digest)
    assert len(digests) == 3
    error = {
        how: np.abs(features[how] - features["float"]).max() for how in ("rounded", "truncated")
    }
    assert 0 < error["rounded"] < error["truncated"]  # half a grey level down everywhere is a bias


@pytest.mark.parametrize("array", [np.zeros((2, 4, 8, 8), np.uint8), np.zeros((2, 3, 8, 8), int)])
def test_arrays_that_are_no_images_are_refused(array):
    with pytest.raises(ValueError, match="uint8 or float"):
        ArrayImages("x", array)


def test_float_images_beyond_their_range_are_refused():
    x = np.linspace(-1, 1, 192).reshape(1, 3, 8, 8)
    for wrong in (-200.0, np.nan):
        broken = x.copy()
        broken[0, 0, 0, 3] = wrong
        with pytest.raises(ValueError, match=rf"image 0: .*one value is {wrong}"):
            ArrayImages("x", broken).read(0)
    with pytest.raises(ValueError, match=r"seem to lie in \[0, 1\]"):
        ArrayImages("x", (x + 1) / 2)


def test_a_subset_keeps_its_names():
    some = ArrayImages("x", uint8(0, 9)).take([2, 5, 7]).take([1, 2])
    assert some.names() == ["5", "7"]
    assert (some.read(0) == uint8(0, 9)[5].transpose(1, 2, 0)).all()
    assert len(some) == 2


def test_grey_alpha_and_16_bit_files(tmp_path):
    Image.fromarray(np.full((8, 8), 77, np.uint8)).save(tmp_path / "grey.png")
    Image.fromarray(np.full((8, 8), 257 * 40, np.uint16)).save(tmp_path / "deep.png")
    images = open_images(tmp_path)
    assert [int(images.read(i).max()) for i in range(2)] == [40, 77]
    assert images.read(0).shape == (8, 8, 3)
    Image.fromarray(np.ones((8, 8), np.float32)).save(tmp_path / "float.tiff")
    with pytest.raises(ValueError, match=r"float\.tiff has 32-bit pixels"):
        open_images(tmp_path).read(1)
