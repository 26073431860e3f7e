"""Center crops of whole files, as ADM makes them (Dhariwal and Nichol 2021): every file once an
epoch, half of the crops mirrored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from davae.core import keyed
from davae.data.source import Source, Split


def center_crop(image: Image.Image, side: int) -> Image.Image:
    """The square in the middle at a side: halved by boxes while it is twice as large or more, then
    resized bicubically, so that small images are enlarged."""
    while min(image.size) >= 2 * side:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = side / min(image.size)
    size = (max(side, round(image.width * scale)), max(side, round(image.height * scale)))
    image = image.resize(size, Image.Resampling.BICUBIC)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


@dataclass(frozen=True)
class CenterCrop:
    """A file, by class and number in it, and whether it is mirrored."""

    label: int
    region: int
    flip: bool

    def cut(self, image: Image.Image, side: int) -> np.ndarray:
        """The crop as uint8 [3, side, side]."""
        cut = center_crop(image, side)
        return np.asarray(ImageOps.mirror(cut) if self.flip else cut).transpose(2, 0, 1)


def plan(source: Source, seed: int, split: Split, count: int) -> list[CenterCrop]:
    """The first `count` crops of a split: epoch after epoch, every file once in an order drawn for
    the epoch, in which any stretch has of each class about its share; what is mirrored in one epoch
    is not in the next.

    `train` and `fresh` are of the same files in other orders."""
    files = [
        (label, region)
        for label, regions in enumerate(source.regions(split))
        for region in range(len(regions))
    ]
    found: list[CenterCrop] = []
    for epoch in range(-(-count // len(files))):
        keys = [keyed.key(seed, f"center/{split}/order", epoch, i) for i in range(len(files))]
        starts = [
            keyed.key(seed, f"center/{split}/start", epoch, label) / 2**64
            for label in range(len(source.regions(split)))
        ]
        at = spread([label for label, _ in files], keys, starts)
        for place in sorted(range(len(files)), key=at.__getitem__):
            mirrored = keyed.key(seed, f"center/flip/{place}") % 2 == 0
            found.append(CenterCrop(*files[place], mirrored ^ (epoch % 2 == 1)))
    return found[:count]


def spread(labels: list[int], keys: list[int], starts: list[float]) -> list[float]:
    """Where each file comes in [0, 1]: those of a class at even distances, in the order of their
    keys, the first at the class's start, in [0, 1], of one distance."""
    at: list[float] = [0.0] * len(labels)
    of_class: dict[int, list[int]] = {}
    for place in sorted(range(len(labels)), key=keys.__getitem__):
        of_class.setdefault(labels[place], []).append(place)
    for label, places in of_class.items():
        for rank, place in enumerate(places):
            at[place] = (rank + starts[label]) / len(places)
    return at
