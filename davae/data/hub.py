"""Data sets of the Hugging Face hub, or their files in a folder, streamed: read once from the first
sample on, never downloaded as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from tqdm import tqdm

from davae.core import keyed
from davae.core.data_config import DataConfig
from davae.data.archive import Held
from davae.data.center import CenterCrop
from davae.data.folder import read
from davae.data.source import Split

DRAWN = 4_096
"""Samples whose side of the split is drawn at once."""
SPLIT = "train"
"""Of the hub's, that is streamed; what is held out of it is ours."""


@dataclass(frozen=True)
class Place:
    """Which sample of the stream a crop is of, and whether it is mirrored."""

    index: int
    flip: bool


def places(config: DataConfig, seed: int, split: Split, number: int) -> list[Place]:
    """The first `number` crops of a split: each sample of the stream is held out or trained on, by
    its number; `fresh` are the first of those trained on, mirrored where `train` has them not."""
    found: list[int] = []
    for start in count(step=DRAWN):
        if len(found) >= number:
            break
        drawn = keyed.uniform(0, "hub/heldout", 0, range(start, start + DRAWN)).numpy()
        held = drawn < config.heldout_fraction
        found += (start + np.flatnonzero(held == (split == "heldout"))).tolist()
    return [
        Place(i, (keyed.key(seed, f"hub/flip/{i}") % 2 == 0) ^ (split == "fresh"))
        for i in found[:number]
    ]


def stream(config: DataConfig, *columns: str) -> Any:
    """The data set's samples, in order, with these columns alone; raises ValueError where it
    cannot be opened or lacks one."""
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise ValueError("data.name 'hub' needs datasets: pip install 'davae[hub]'") from error
    from datasets.exceptions import DatasetNotFoundError

    try:
        name, _, revision = config.path.partition("@")
        found = load_dataset(name, split=SPLIT, streaming=True, revision=revision or None)
    except (DatasetNotFoundError, FileNotFoundError, ValueError, ConnectionError) as error:
        raise ValueError(f"the data set {config.path!r} cannot be streamed: {error}") from error
    features = features_of(found)
    absent = [name for name in columns if name not in features]
    if absent:
        raise ValueError(
            f"{config.path} has no column {', '.join(absent)}; it has {', '.join(features)}"
        )
    return found.select_columns(list(columns)) if columns else found


def features_of(found: Any) -> dict[str, Any]:
    """The columns of a stream and their types."""
    return dict(found.features or found._resolve_features().features)


PLAIN = ("label", "cls", "class")
"""Names of columns that mean a class."""


def image_and_label(config: DataConfig) -> tuple[str, str]:
    """The columns of images and of classes, empty where there are none; raises ValueError where
    several could be meant, and where a class is no ClassLabel and there are no captions either."""
    features = features_of(stream(config))
    found = []
    for kind in ("Image", "ClassLabel"):
        names = [name for name, of in features.items() if type(of).__name__ == kind]
        if len(names) > 1:
            raise ValueError(f"{config.path} has several columns of {kind}: {', '.join(names)}; "
                             "keep one")  # fmt: skip
        found.append(names[0] if names else "")
    plain = [name for name in PLAIN if name in features]
    if not found[1] and plain and not config.captions:
        raise ValueError(
            f"{config.path}: {plain[0]} is no ClassLabel, so that the classes are not known; cast "
            "it and save the data set"
        )
    return found[0], found[1]


def rows(config: DataConfig, columns: list[str], wanted: set[int]) -> Iterator[tuple[int, Any]]:
    """(number, sample) of the wanted ones, in order; raises ValueError where the stream ends
    before the last of them."""
    from datasets import Image

    samples = stream(config, *columns)
    for name, of in features_of(samples).items():
        if isinstance(of, Image):
            samples = samples.cast_column(name, Image(decode=False))
    last, seen = max(wanted), 0
    shown = tqdm(samples, total=last + 1, desc=f"streaming {config.path}", unit="row", delay=2)
    for index, sample in enumerate(shown):
        seen = index + 1
        if index in wanted:
            yield index, sample
        if index == last:
            return
    raise ValueError(
        f"{config.path} ends after {seen:,} samples; the crops that are asked for need "
        f"{last + 1:,}: lower data.train_crops or data.eval_crops"
    )


def content_of(image: dict[str, Any] | None) -> bytes:
    """The bytes of an image, which a data set holds or names; none where it has no image."""
    from datasets.utils.file_utils import xopen

    if image is None:
        return b""
    if image["bytes"] is not None:
        return image["bytes"]
    with xopen(image["path"], "rb") as file:
        return file.read()


def draw_stream(
    config: DataConfig, seed: int, counts: dict[Split, int], out: dict[Split, np.ndarray]
) -> tuple[dict[Split, np.ndarray], list[str]]:
    """Fill the uint8 images of every split in one pass; (labels by split, class names).

    Raises ValueError for a data set without images, and as `rows` does."""
    image, label = image_and_label(config)
    if not image:
        raise ValueError(f"{config.path} has no column of images")
    names = features_of(stream(config))[label].names if label else [config.path]
    labels = {split: np.zeros(number, np.int64) for split, number in counts.items()}
    asked: dict[int, list[tuple[Split, int, bool]]] = {}
    for split, number in counts.items():
        for at, place in enumerate(places(config, seed, split, number)):
            asked.setdefault(place.index, []).append((split, at, place.flip))
    for index, sample in rows(config, [image, *([label] if label else [])], set(asked)):
        pixels = read(Held(f"{config.path}, sample {index}", content_of(sample[image])))
        for split, at, flip in asked[index]:
            out[split][at] = CenterCrop(0, 0, flip).cut(pixels, config.resolution_px)
            labels[split][at] = sample[label] if label else 0
    return labels, list(names)


def stream_captions(
    config: DataConfig, seed: int, counts: dict[Split, int]
) -> dict[Split, list[str]]:
    """The captions of every split's crops in one pass, of the column that `data.captions` names;
    raises ValueError for what is no text."""
    column = config.captions
    if not column:
        raise ValueError("text to image needs captions: name their column by data.captions")
    asked = {
        split: [p.index for p in places(config, seed, split, n)] for split, n in counts.items()
    }
    said: dict[int, str] = {}
    for index, sample in rows(config, [column], {i for of in asked.values() for i in of}):
        if not isinstance(sample[column], str):
            raise ValueError(
                f"{config.path}, sample {index}: {column} is {sample[column]!r}, which is no text"
            )
        said[index] = sample[column]
    return {split: [said[i] for i in of] for split, of in asked.items()}
