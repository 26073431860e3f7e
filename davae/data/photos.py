"""The photographs and textures that the scikit-image and scikit-learn wheels themselves ship.

Each photograph is a class. Its last `heldout_fraction` along the longer side is never trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image

from davae.core.data_config import DataConfig
from davae.data.source import Region, Source


@dataclass(frozen=True)
class Photo:
    """A photograph: its file or files (a stereo pair is one class) and what of it is used."""

    name: str
    files: tuple[str, ...]
    inset: float = 0.0
    """Share cut off at each border (the retina photograph is a disc on black)."""
    gap_px: int = 0
    """Pixels before the held-out region that training skips: the motorcycle's stereo disparity is
    up to 60 px, so the right image would show the left one's held-out part."""


PHOTOS = (
    Photo("astronaut", ("skimage/astronaut.png",)),
    Photo("brick", ("skimage/brick.png",)),
    Photo("chelsea", ("skimage/chelsea.png",)),
    Photo("china", ("sklearn/china.jpg",)),
    Photo("coffee", ("skimage/coffee.png",)),
    Photo("flower", ("sklearn/flower.jpg",)),
    Photo("grass", ("skimage/grass.png",)),
    Photo("gravel", ("skimage/gravel.png",)),
    Photo("hubble_deep_field", ("skimage/hubble_deep_field.jpg",)),
    Photo("immunohistochemistry", ("skimage/ihc.png",)),
    Photo("motorcycle", ("skimage/motorcycle_left.png", "skimage/motorcycle_right.png"), gap_px=64),
    Photo("retina", ("skimage/retina.jpg",), inset=0.15),
    Photo("rocket", ("skimage/rocket.jpg",)),
)


def _path(file: str) -> Path:
    """The file's place in the installed package; the packages' data modules are not imported."""
    import importlib.util

    package, name = file.split("/")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ValueError(f"the photographs need the package {package}, which is not installed")
    below = "data" if package == "skimage" else "datasets/images"
    path = Path(spec.origin).parent / below / name
    if not path.exists():
        raise ValueError(
            f"{package} is installed without {name}; reinstall it with pip from its wheel"
        )
    return path


def split_boxes(
    size: tuple[int, int], inset: float, heldout_fraction: float, least_px: int, gap_px: int
) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
    """Disjoint (train, held-out) boxes of an image of size (width, height).

    The held-out part lies at the end of the longer side and is at least `least_px` wide, but never
    more than half of it.
    """
    width, height = size
    left, top = round(width * inset), round(height * inset)
    right, bottom = width - left, height - top
    along = max(right - left, bottom - top)
    heldout = min(max(round(along * heldout_fraction), least_px), along // 2)
    if right - left >= bottom - top:
        cut = right - heldout
        return (left, top, cut - gap_px, bottom), (cut, top, right, bottom)
    cut = bottom - heldout
    return (left, top, right, cut - gap_px), (left, cut, right, bottom)


def photos(config: DataConfig) -> Source:
    """The thirteen classes of `PHOTOS`, split as `config` says."""
    train, heldout = [], []
    for photo in PHOTOS:
        pair: tuple[list[Region], list[Region]] = ([], [])
        for file in photo.files:
            path = _path(file)
            with Image.open(path) as image:
                size = image.size
            reduce = min(1.0, config.short_side_px / (min(size) * (1 - 2 * photo.inset)))
            least = round(config.max_crop_px / reduce)
            boxes = split_boxes(size, photo.inset, config.heldout_fraction, least, photo.gap_px)
            for side, box in zip(pair, boxes, strict=True):
                side.append(Region(path.stem, box, reduce, partial(Image.open, path)))
        train.append(tuple(pair[0]))
        heldout.append(tuple(pair[1]))
    return Source(tuple(photo.name for photo in PHOTOS), tuple(train), tuple(heldout))
