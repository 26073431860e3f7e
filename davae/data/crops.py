"""Random crops of a source's regions, each a function of (seed, split, index) alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from davae.core import keyed
from davae.core.data_config import FILES, DataConfig
from davae.data import center
from davae.data.cut import CutImages, Planned
from davae.data.folder import folder
from davae.data.photos import photos
from davae.data.scenes import CLASSES, scenes
from davae.data.source import Region, Source, Split
from davae.data.webdataset import webdataset

AT_ONCE = 2**28
"""Bytes of crops that are cut at once; a photograph of which there are many is read once for
them."""


@dataclass(frozen=True)
class Crop:
    """A square of one region: the class, the region's number in it, the box and the flip."""

    label: int
    region: int
    left: int
    top: int
    side: int
    flip: bool

    def cut(self, image: Image.Image, side: int) -> np.ndarray:
        """The crop as uint8 [3, side, side], resized with an antialiased bicubic filter."""
        cut = image.crop((self.left, self.top, self.left + self.side, self.top + self.side))
        if self.side != side:
            cut = cut.resize((side, side), Image.Resampling.BICUBIC)
        return np.asarray(ImageOps.mirror(cut) if self.flip else cut).transpose(2, 0, 1)


def load_source(config: DataConfig) -> Source:
    """The photographs, the folder or the shards that `config` names; raises ValueError for data
    that cannot be read again and again."""
    sources = {"photos": photos, "folder": folder, "webdataset": webdataset}
    if config.name not in sources:
        raise ValueError(f"data.name {config.name!r} has no regions to be drawn from again; those "
                         f"of {', '.join(sources)} have")  # fmt: skip
    return sources[config.name](config)


def draw_images(
    config: DataConfig, seed: int, split: Split, count: int, source: Source | None = None,
    out: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, list[str]]:  # fmt: skip
    """(uint8 images [count, 3, resolution, resolution], int64 labels [count], class names) of a
    split.

    source: what is drawn from, where it is loaded already or is another config's; out: an array of
    the images' shape to fill, as a file mapped into memory."""
    if config.name == "scenes":
        images, _, shown = scenes(config.resolution_px, seed, split, list(range(count)))
        if out is not None:
            out[:] = images
        return images, np.array([scene.label for scene in shown], np.int64), list(CLASSES)
    source = source or load_source(config)
    images, labels = draw_crops(config, source, seed, split, count, out)
    return images, labels, list(source.classes)


def plan_crop(
    config: DataConfig, source: Source, seed: int, split: Split, index: int,
    region: int | None = None,
) -> Crop:  # fmt: skip
    """Crop `index` of a split: classes in turn, a region at random where none is given,
    log-uniform side, uniform place, fair flip."""

    def draw(what: str) -> float:
        return float(keyed.uniform(seed, f"crop/{split}/{what}", 0, [index])[0])

    label = index % len(source.classes)
    regions = source.regions(split)[label]
    region = int(draw("region") * len(regions)) if region is None else region
    width, height = regions[region].size
    low = min(config.min_crop_px, width, height)
    high = min(config.max_crop_px, width, height)
    side = round(math.exp(math.log(low) + draw("side") * (math.log(high) - math.log(low))))
    left, top = int(draw("left") * (width - side + 1)), int(draw("top") * (height - side + 1))
    return Crop(label, region, left, top, side, draw("flip") < 0.5)


def planned(
    config: DataConfig, source: Source, seed: int, split: Split, count: int
) -> list[Planned]:
    """The first `count` crops of a split. Those of files take each file of a class once before any
    twice; the few regions of photographs are drawn."""
    if config.crop == "center":
        return list(center.plan(source, seed, split, count))
    taken: list[int | None] = [None] * count
    if config.name in FILES:
        classes = source.regions(split)
        for label, files in enumerate(classes):
            indices = range(label, count, len(classes))
            purpose = f"crop/{split}/file/{label}"
            order = keyed.in_turn(seed, purpose, range(len(indices)), len(files))
            taken[label :: len(classes)] = order.tolist()
    return [plan_crop(config, source, seed, split, i, region) for i, region in enumerate(taken)]


def drawn_regions(
    config: DataConfig, source: Source, seed: int, split: Split, count: int
) -> list[Region]:
    """What each crop of a split is of."""
    regions = source.regions(split)
    return [regions[c.label][c.region] for c in planned(config, source, seed, split, count)]


def draw_crops(
    config: DataConfig,
    source: Source,
    seed: int,
    split: Split,
    count: int,
    out: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """`count` crops: uint8 images [count, 3, resolution, resolution] and int64 labels [count]."""
    plan = planned(config, source, seed, split, count)
    cut = CutImages(source, split, plan, config.resolution_px)
    images = np.empty(cut.shape, np.uint8) if out is None else out
    size = max(1, AT_ONCE // (3 * config.resolution_px**2))
    with tqdm(total=count, desc=f"crops ({split})", unit="crop", delay=2) as progress:
        for start in range(0, count, size):
            images[start : start + size] = cut[start : start + size]
            progress.update(min(size, count - start))
    return images, np.array([crop.label for crop in plan], np.int64)
