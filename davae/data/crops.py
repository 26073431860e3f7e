"""Random crops of a source's regions, each a function of (seed, split, index) alone."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from davae.core import keyed
from davae.core.experiment import DataConfig
from davae.data.center import draw_center_crops
from davae.data.folder import folder
from davae.data.photos import photos
from davae.data.scenes import CLASSES, scenes
from davae.data.source import Source, Split


@dataclass(frozen=True)
class Crop:
    """A square of one region: the class, the region's number in it, the box and the flip."""

    label: int
    region: int
    left: int
    top: int
    side: int
    flip: bool


def load_source(config: DataConfig) -> Source:
    """The photographs, or the folder, that `config` names."""
    return photos(config) if config.name == "photos" else folder(config)


def draw_images(
    config: DataConfig, seed: int, split: Split, count: int, regions: DataConfig | None = None,
    out: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, list[str]]:  # fmt: skip
    """(uint8 images [count, 3, resolution, resolution], int64 labels [count], class names) of a
    split.

    regions: the config whose split of the photographs is drawn from, where it is another one's.
    out: an array of the images' shape to fill, as a file mapped into memory."""
    if config.name == "scenes":
        images, _, shown = scenes(config.resolution_px, seed, split, list(range(count)))
        if out is not None:
            out[:] = images
        return images, np.array([scene.label for scene in shown], np.int64), list(CLASSES)
    source = load_source(regions or config)
    draw = draw_center_crops if config.crop == "center" else draw_crops
    images, labels = draw(config, source, seed, split, count, out)
    return images, labels, list(source.classes)


def plan_crop(config: DataConfig, source: Source, seed: int, split: Split, index: int) -> Crop:
    """Crop `index` of a split: classes in turn, log-uniform side, uniform place, fair flip."""

    def draw(what: str) -> float:
        return float(keyed.uniform(seed, f"crop/{split}/{what}", 0, [index])[0])

    label = index % len(source.classes)
    regions = source.regions(split)[label]
    region = int(draw("region") * len(regions))
    width, height = regions[region].size
    low = min(config.min_crop_px, width, height)
    high = min(config.max_crop_px, width, height)
    side = round(math.exp(math.log(low) + draw("side") * (math.log(high) - math.log(low))))
    left, top = int(draw("left") * (width - side + 1)), int(draw("top") * (height - side + 1))
    return Crop(label, region, left, top, side, draw("flip") < 0.5)


def draw_crops(
    config: DataConfig,
    source: Source,
    seed: int,
    split: Split,
    count: int,
    out: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """`count` crops: uint8 images [count, 3, resolution, resolution] and int64 labels [count].

    Crops are cut out, then resized with an antialiased bicubic filter. Each region is read once.
    """
    plan = [plan_crop(config, source, seed, split, index) for index in range(count)]
    by_region: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, crop in enumerate(plan):
        by_region[crop.label, crop.region].append(index)
    side = config.resolution_px
    images = np.empty((count, 3, side, side), np.uint8) if out is None else out
    with tqdm(total=count, desc=f"crops ({split})", unit="crop", delay=2) as progress:
        for (label, region), indices in by_region.items():
            pixels = source.regions(split)[label][region].pixels()
            for index in indices:
                images[index] = _cut(pixels, plan[index], side)
            progress.update(len(indices))
    return images, np.array([crop.label for crop in plan], np.int64)


def _cut(image: Image.Image, crop: Crop, side: int) -> np.ndarray:
    """The crop as uint8 [3, side, side]."""
    cut = image.crop((crop.left, crop.top, crop.left + crop.side, crop.top + crop.side))
    if crop.side != side:
        cut = cut.resize((side, side), Image.Resampling.BICUBIC)
    if crop.flip:
        cut = ImageOps.mirror(cut)
    return np.asarray(cut).transpose(2, 0, 1)
