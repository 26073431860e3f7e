"""The stages that draw the data: crops and their captions."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from davae.core.data_config import FILES, DataConfig
from davae.core.runtime import Runtime
from davae.core.store import write_json
from davae.data.captions import draw_captions
from davae.data.crops import draw_images, load_source, planned
from davae.data.hub import draw_stream, stream_captions
from davae.data.mapped import new_array
from davae.data.pixels import downsample, to_unit
from davae.data.source import Split
from davae.stages.artifacts import CUT
from davae.stages.stage import Work

SHARE = 0.25
"""Of the free space of the disk, which stored training crops take at most."""
SHOWN_CLASSES = 32
"""Classes that the grids show at most, evenly among all."""
JUDGED = ("heldout", "fresh")
"""Splits whose crops are judged and shown."""
SHOWN = 4
"""Crops, and samples, a class that the grids show."""


def shown_classes(crops: Path, count: int) -> list[int]:
    """Which classes the grids show: evenly among those of which held-out and fresh crops are
    judged, of the first `count` of an artifact of crops, or all of them for 0."""
    judged = [np.load(crops / f"{split}_labels.npy")[: count or None] for split in JUDGED]
    among = sorted(set.intersection(*(set(labels.tolist()) for labels in judged)))
    most = min(len(among), SHOWN_CLASSES)
    return [among[i * len(among) // most] for i in range(most)]


def first_of_each(labels: np.ndarray, classes: list[int]) -> np.ndarray:
    """Indices of the first SHOWN samples of each of the classes, in turn; from the first again
    where there are fewer. Raises ValueError for a class that has none."""
    by_class = []
    for label in classes:
        among = np.flatnonzero(labels == label)
        if not len(among):
            raise ValueError(
                f"no judged image is of class {label}; raise data.eval_crops or eval.count"
            )
        by_class.append(np.resize(among, SHOWN))
    return np.stack(by_class, 1).ravel()


def splits_of(data: DataConfig) -> dict[Split, int]:
    """How many crops each split has."""
    return {"heldout": data.eval_crops, "fresh": data.eval_crops, "train": data.train_crops}


def make_crops(work: Work, data: DataConfig, seed: int) -> None:
    """uint8 crops and labels of the three splits, and the class names."""
    splits = splits_of(data)
    if data.name == "hub":
        labels, classes = make_streamed(work, data, seed, splits)
    else:
        labels, classes = make_drawn(work, data, seed, splits)
    for split, of_split in labels.items():
        np.save(work.folder / f"{split}_labels.npy", of_split)
    write_json(work.folder / "classes.json", classes)


Labels = dict[Split, np.ndarray]


def check_shown(data: DataConfig, classes: list[str]) -> None:
    """Raise ValueError where the held-out crops cannot show every class."""
    least = SHOWN * len(classes)
    if data.eval_crops < least:
        raise ValueError(
            f"data.eval_crops is {data.eval_crops}; {len(classes)} classes need {least} or more"
        )


def images_file(work: Work, data: DataConfig, split: Split, count: int) -> np.ndarray:
    """The file of a split's images, to be filled."""
    shape = (count, 3, data.resolution_px, data.resolution_px)
    return new_array(work.folder / f"{split}_images.npy", np.uint8, shape)


def make_streamed(
    work: Work, data: DataConfig, seed: int, splits: dict[Split, int]
) -> tuple[Labels, list[str]]:
    """All splits in one pass; (labels, class names)."""
    files = {split: images_file(work, data, split, count) for split, count in splits.items()}
    labels, classes = draw_stream(data, seed, splits, files)
    check_shown(data, classes)
    return labels, classes


def make_drawn(
    work: Work, data: DataConfig, seed: int, splits: dict[Split, int]
) -> tuple[Labels, list[str]]:
    """One split after the other, training crops as `stores` says; (labels, class names)."""
    found: Labels = {}
    classes: list[str] = []
    source = None if data.name == "scenes" else load_source(data)
    for split, count in splits.items():
        if split == "train" and source is not None and not stores(work.runtime, work.folder, data):
            plan = planned(data, source, seed, split, count)
            found[split] = np.array([crop.label for crop in plan], np.int64)
            (work.folder / f"{split}_images.npy").unlink(missing_ok=True)  # of a killed attempt
            write_json(work.folder / CUT, {"data": asdict(data), "seed": seed})
        else:
            (work.folder / CUT).unlink(missing_ok=True)
            file = images_file(work, data, split, count)
            _, found[split], classes = draw_images(data, seed, split, count, source, out=file)
            check_shown(data, classes)
    return found, classes


def training_bytes(data: DataConfig) -> int:
    """What stored training crops take."""
    return 3 * data.train_crops * data.resolution_px**2


def stores(runtime: Runtime, folder: Path, data: DataConfig) -> bool:
    """Whether the training crops of files are stored below a folder: as the runtime says, or where
    they take at most SHARE of the disk's free space. What is cut as it is used is the same, bit for
    bit."""
    if data.name not in FILES:
        return True
    if runtime.store_crops is not None:
        return runtime.store_crops
    return training_bytes(data) <= SHARE * shutil.disk_usage(folder).free


def make_pool(work: Work) -> None:
    """The crops of several data sets in turns, the classes being the sets."""
    for split in get_args(Split):
        sets = [
            np.load(path / f"{split}_images.npy", mmap_mode="r") for path in work.inputs.values()
        ]
        each = min(len(images) for images in sets)
        shape = (each * len(sets), *sets[0].shape[1:])
        file: Any = new_array(work.folder / f"{split}_images.npy", np.uint8, shape)
        for i, images in enumerate(sets):
            file[i :: len(sets)] = images[:each]
        file.flush()
        np.save(work.folder / f"{split}_labels.npy", np.tile(np.arange(len(sets)), each))
    write_json(work.folder / "classes.json", list(work.inputs))


def make_captions(work: Work, data: DataConfig, seed: int) -> None:
    """The captions of every split's crops."""
    splits = splits_of(data)
    if data.name == "hub":
        said = stream_captions(data, seed, splits)
    else:
        source = load_source(data) if data.name in FILES else None
        said = {split: draw_captions(data, seed, split, n, source) for split, n in splits.items()}
    for split, captions in said.items():
        write_json(work.folder / f"{split}_captions.json", captions)


def base_images(
    images: np.ndarray, scale: int, antialias: bool, batch: int = 512, clamp: bool = False
) -> torch.Tensor:
    """Float base images of uint8 high-resolution ones: in about [-1, 1], or exactly, by `clamp`."""
    parts = (images[i : i + batch] for i in range(0, len(images), batch))
    small = torch.cat([downsample(to_unit(part), scale, antialias) for part in parts])
    return small.clamp_(-1, 1) if clamp else small
