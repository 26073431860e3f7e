"""The photographs and their split."""

from PIL import Image

from davae.core.data_config import DataConfig
from davae.data.crops import draw_crops, load_source
from davae.data.photos import PHOTOS, split_boxes
from davae.data.source import Region, Source

DATA = DataConfig()


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
