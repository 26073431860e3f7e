"""What a data set is: named classes, and for each split the image regions of each class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from PIL import Image

Split = Literal["train", "fresh", "heldout"]
"""`train` and `fresh` are crops of the training regions under different keys."""


@dataclass(frozen=True)
class Region:
    """A part of one image that belongs to one side of the split."""

    name: str
    box: tuple[int, int, int, int]
    """(left, top, right, bottom) in pixels of the file."""
    reduce: float
    """Factor <= 1 by which the region is reduced after it is cut out."""
    read: Callable[[], Image.Image]
    """Opens the whole image."""
    caption: Callable[[], str] | None = None
    """What is said of it, where that lies beside it."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of `pixels()`."""
        left, top, right, bottom = self.box
        return max(1, round((right - left) * self.reduce)), max(
            1, round((bottom - top) * self.reduce)
        )

    def pixels(self) -> Image.Image:
        """The region as an RGB image, cut out first so that no pixel beyond it is mixed in."""
        cut = self.read().convert("RGB").crop(self.box)
        return cut if cut.size == self.size else cut.resize(self.size, Image.Resampling.BICUBIC)


@dataclass(frozen=True)
class Source:
    """A data set: class k has the regions `train[k]` and the held-out ones `heldout[k]`."""

    classes: tuple[str, ...]
    train: tuple[tuple[Region, ...], ...]
    heldout: tuple[tuple[Region, ...], ...]

    def regions(self, split: Split) -> tuple[tuple[Region, ...], ...]:
        """The regions of a split, by class."""
        return self.heldout if split == "heldout" else self.train
