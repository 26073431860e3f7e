"""Crops that are cut when they are asked for, by several threads."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
from PIL import Image

from davae.data.source import Source, Split

POOL = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="cut")
"""Pillow decodes and resizes without holding Python's lock."""


class Planned(Protocol):
    """A crop of a region: the class, the region's number in it, and how it is cut."""

    @property
    def label(self) -> int:
        """The class."""

    @property
    def region(self) -> int:
        """The region's number in its class."""

    def cut(self, image: Image.Image, side: int) -> np.ndarray:
        """uint8 [3, side, side] of the region's pixels."""


class CutImages:
    """The crops of a plan, indexed as an array uint8 [N, 3, side, side] is: nothing is kept."""

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, source: Source, split: Split, plan: Sequence[Planned], side: int):
        self.regions, self.split, self.plan, self.side = source.regions(split), split, plan, side
        self.source = source

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, 3, side, side)."""
        return len(self.plan), 3, self.side, self.side

    def __len__(self) -> int:
        return len(self.plan)

    def first(self, count: int) -> CutImages:
        """The first `count` of them."""
        return CutImages(self.source, self.split, self.plan[:count], self.side)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Those of a slice, of numbers, or one; each region is read once."""
        numbers = np.arange(len(self))[index if isinstance(index, slice) else np.asarray(index)]
        asked = np.atleast_1d(numbers).tolist()
        found = np.empty((len(asked), *self.shape[1:]), np.uint8)
        places: dict[tuple[int, int], list[int]] = {}
        for place, number in enumerate(asked):
            crop = self.plan[number]
            places.setdefault((crop.label, crop.region), []).append(place)

        def fill(region: tuple[int, int]) -> None:
            pixels = self.regions[region[0]][region[1]].pixels()
            for place in places[region]:
                found[place] = self.plan[asked[place]].cut(pixels, self.side)

        for _ in POOL.map(fill, places):
            pass
        return found if numbers.ndim else found[0]
