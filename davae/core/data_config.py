"""Where images come from, as a part of an experiment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from davae.core.checks import positive, unread
from davae.core.hashing import option

FILES = {"folder": "images", "webdataset": ".tar files"}
"""Data sets that are read from `data.path` again and again, and what lies there."""


@dataclass(frozen=True)
class DataConfig:
    """Where images come from and how crops are drawn from them."""

    name: Literal["photos", "folder", "webdataset", "hub", "scenes"] = "photos"
    """photos: those the scikit-image and scikit-learn wheels ship; folder: images below `path`;
    webdataset: the samples of its .tar files; hub: a data set of the Hugging Face hub, streamed;
    scenes: drawn shapes, whose crop sizes are not used."""
    path: str = ""
    """For `folder`: a directory whose sub-folders are the classes. For `webdataset`: a .tar, or a
    directory of them. For `hub`: the data set's name, with @REVISION behind it to hold it fast,
    or a directory of its files."""
    resolution_px: int = 64
    """Side of the high-resolution image."""
    scale: int = 2
    """s: the base image has side resolution_px / s."""
    antialias: bool = False
    """Whether the bicubic reduction to the base image is antialiased (the authors': off)."""
    train_crops: int = 20_480
    """Cached crops of the training regions."""
    eval_crops: int = 1_300
    """Crops of the held-out regions, and as many fresh ones of the training regions."""
    crop: Literal["random", "center"] = option("random", neutral="random")
    """random: squares of log-uniform side at random places. center, of files: the middle square
    of every file at the resolution, small files enlarged, every file once before any twice (ADM's
    ImageNet)."""
    min_crop_px: int = 48
    """Smallest side of a crop, in pixels of the photograph, before it is resized."""
    max_crop_px: int = 96
    """Largest side of a crop; sides are log-uniform between the two."""
    short_side_px: int = 512
    """Photographs whose short side is longer are first reduced to it."""
    heldout_fraction: float = 0.25
    """Share of each photograph, at the end of its longer side, that training never sees; or of a
    folder's files."""
    captions: str = option("", neutral="")
    """For text to image from a `folder`: a .csv, .tsv or .jsonl file with columns file (below
    `path`) and caption. From a `hub`: the column of captions. Those of a `webdataset` are in its
    shards."""

    def __post_init__(self) -> None:
        positive(resolution_px=self.resolution_px, scale=self.scale, train_crops=self.train_crops)
        positive(eval_crops=self.eval_crops, min_crop_px=self.min_crop_px)
        if self.resolution_px % self.scale:
            raise ValueError(
                f"scale {self.scale} does not divide resolution_px {self.resolution_px}"
            )
        if self.max_crop_px < self.min_crop_px:
            raise ValueError(
                f"max_crop_px {self.max_crop_px} is below min_crop_px {self.min_crop_px}"
            )
        if not 0 < self.heldout_fraction < 1:
            raise ValueError(
                f"heldout_fraction is {self.heldout_fraction}; it lies between 0 and 1"
            )
        if self.name == "photos":
            unread("photos are those of packages; data.name is folder for your own",
                   path=(self.path, ""), captions=(self.captions, ""))  # fmt: skip
        if self.name == "scenes":
            unread("scenes are drawn, not cropped", path=(self.path, ""),
                   captions=(self.captions, ""), min_crop_px=(self.min_crop_px, 48),
                   max_crop_px=(self.max_crop_px, 96),
                   short_side_px=(self.short_side_px, 512),
                   heldout_fraction=(self.heldout_fraction, 0.25))  # fmt: skip
        if self.crop == "center":
            if self.name not in (*FILES, "hub"):
                raise ValueError(f"data.crop is 'center', which is for {', '.join(FILES)} and hub, "
                                 f"not {self.name}")  # fmt: skip
            unread("center crops have one size", min_crop_px=(self.min_crop_px, 48),
                   max_crop_px=(self.max_crop_px, 96),
                   short_side_px=(self.short_side_px, 512))  # fmt: skip
        if self.name in FILES and not self.path:
            raise ValueError(
                f"data.name is {self.name!r} and data.path is empty: name a directory of "
                f"{FILES[self.name]}"
            )
        if self.name == "hub" and (self.crop != "center" or not self.path):
            raise ValueError(
                "a data set of the hub is read once: data.crop is 'center', and data.path its name"
            )
        if self.name == "webdataset":
            unread("captions are in the shards", captions=(self.captions, ""))
