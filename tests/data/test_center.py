"""Center crops of files of every kind."""

import numpy as np
import pytest
from PIL import Image

from davae.core import keyed
from davae.core.data_config import DataConfig
from davae.data.center import center_crop, plan, spread
from davae.data.crops import draw_crops, draw_images, load_source
from davae.data.reading import read_rgb, upright_size


def config(top, **changes):
    return DataConfig(name="folder", path=str(top), crop="center", resolution_px=32, **changes)


@pytest.fixture
def files(tmp_path):
    """Two classes of six files each, of all sizes and shapes."""
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i, (width, height) in enumerate(
            ((20, 20), (33, 90), (400, 300), (64, 32), (7, 200), (50, 41))
        ):
            pixels = random.integers(0, 256, (height, width, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png")
    return tmp_path


def test_the_middle_is_kept_and_nothing_is_stretched():
    image = np.zeros((64, 200, 3), np.uint8)
    image[:, 68:132] = 255  # the square in the middle
    assert np.asarray(center_crop(Image.fromarray(image), 64)).min() == 255
    assert np.asarray(center_crop(Image.fromarray(image), 32)).mean() > 245
    small = Image.new("RGB", (10, 15), (7, 80, 200))
    assert np.asarray(center_crop(small, 32)).reshape(-1, 3).tolist() == [[7, 80, 200]] * 32**2
    for size in ((75, 75), (4000, 3000), (33, 900), (32, 32)):
        assert center_crop(Image.new("RGB", size), 32).size == (32, 32)


def test_every_file_is_drawn_once_an_epoch_and_mirrored_in_every_other(files):
    source = load_source(config(files))
    count = sum(len(regions) for regions in source.train)
    crops = plan(source, 0, "train", 3 * count)
    epochs = [crops[i * count : (i + 1) * count] for i in range(3)]
    for epoch in epochs:
        assert len({(c.label, c.region) for c in epoch}) == count
    assert [(c.label, c.region) for c in epochs[0]] != [(c.label, c.region) for c in epochs[1]]
    flips = [{(c.label, c.region): c.flip for c in epoch} for epoch in epochs]
    assert all(flips[0][file] != flips[1][file] for file in flips[0])
    assert flips[0] == flips[2]
    assert plan(source, 0, "train", 5) == crops[:5]


def test_crops_are_those_of_their_files(files):
    data = config(files)
    images, labels, classes = draw_images(data, 0, "heldout", 4)
    assert classes == ["a", "b"]
    source = load_source(data)
    for image, label, crop in zip(images, labels, plan(source, 0, "heldout", 4), strict=True):
        assert label == crop.label
        own = center_crop(source.heldout[crop.label][crop.region].pixels(), 32)
        own = np.asarray(own)[:, ::-1] if crop.flip else np.asarray(own)
        assert np.array_equal(image, own.transpose(2, 0, 1))


def test_files_of_every_mode_are_read_as_they_are_seen(tmp_path):
    sixteen = np.array([[0, 257 * 100], [65535, 257 * 3]], np.uint16)
    Image.fromarray(sixteen).save(tmp_path / "16.png")
    assert np.asarray(read_rgb(tmp_path / "16.png"))[..., 0].tolist() == [[0, 100], [255, 3]]
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg")
    red, green, blue = np.asarray(read_rgb(tmp_path / "cmyk.jpg"))[0, 0]
    assert red > 200
    assert max(green, blue) < 60
    Image.new("L", (4, 4), 9).save(tmp_path / "grey.png")
    assert np.asarray(read_rgb(tmp_path / "grey.png"))[0, 0].tolist() == [9, 9, 9]
    turned = Image.new("RGB", (30, 10))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    assert (
        upright_size(tmp_path / "turned.jpg") == read_rgb(tmp_path / "turned.jpg").size == (10, 30)
    )


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_truncated_file_is_named_before_anything_is_trained(files, suffix):
    file = files / "a" / f"whole.{suffix}"
    pixels = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
    Image.fromarray(pixels).save(file)
    file.write_bytes(file.read_bytes()[:2000])

    def draw_all():
        source = load_source(config(files))
        for split in ("train", "heldout"):
            draw_crops(config(files), source, 0, split, 12)

    with pytest.raises(ValueError, match=rf"whole\.{suffix} cannot be read as an image"):
        draw_all()


def test_what_center_crops_do_not_read_is_refused(tmp_path):
    with pytest.raises(ValueError, match="center crops have one size"):
        config(tmp_path, min_crop_px=96)
    with pytest.raises(ValueError, match="for folder, webdataset and hub, not photos"):
        DataConfig(crop="center")


def test_any_stretch_has_of_each_class_its_share():
    labels = [0] * 100 + [1] * 300 + [2] * 40
    keys = [keyed.key(0, "k", 0, i) for i in range(len(labels))]
    at = spread(labels, keys, [0.1, 0.8, 0.5])
    order = sorted(range(len(labels)), key=at.__getitem__)
    assert sorted(order) == list(range(len(labels)))
    for start in range(0, 440, 44):
        counts = np.bincount([labels[i] for i in order[start : start + 44]], minlength=3)
        assert np.abs(counts - [10, 30, 4]).max() <= 2
