"""Pairs of images of one name, read as they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from davae.data.image_sets import FolderImages, Images
from davae.metrics.registry import METRICS

CHUNK = 32


def paired_names() -> str:
    """The metrics of pairs, for messages."""
    return ", ".join(name for name, metric in METRICS.items() if metric.needs == "pairs")


def check_paired(images: Images, reference: Images) -> None:
    """Raise ValueError unless the two sets hold the same names, or as many images where one is an
    array."""
    if isinstance(images, FolderImages) and isinstance(reference, FolderImages):
        a, b = (
            [Path(name).with_suffix("").as_posix() for name in x.names()]
            for x in (images, reference)
        )
        if a != b:
            odd = sorted(set(a) ^ set(b))[:5]
            problem = f"without a partner: {', '.join(odd)}" if odd else "one name occurs twice"
            raise ValueError(f"{paired_names()} compare files of one name; {problem}")
    if len(images) != len(reference):
        counts = f"{len(images)} images and {len(reference)} references"
        raise ValueError(f"{paired_names()} compare pairs: {counts}")
    if not images.kind == reference.kind == "uint8" and "float, float" in (
        images.kind,
        reference.kind,
    ):
        raise ValueError(
            f"{paired_names()} are of uint8 images; choose the quantisation rounded or truncated"
        )


def pairs(images: Images, reference: Images) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """uint8 [n, 3, H, W] pairs in chunks of one size, with progress."""
    waiting: list[tuple[np.ndarray, np.ndarray]] = []
    with tqdm(
        total=len(images), desc=f"pairs of {images.name}", unit="img", delay=2, leave=False
    ) as progress:
        for i, name in enumerate(images.names()):
            a, b = (x.read(i).transpose(2, 0, 1) for x in (images, reference))
            if a.shape != b.shape:
                sizes = f"{a.shape[2]}x{a.shape[1]} and {b.shape[2]}x{b.shape[1]}"
                raise ValueError(
                    f"{paired_names()} compare images of one size; {name} and its reference "
                    f"are {sizes}"
                )
            if waiting and (len(waiting) == CHUNK or waiting[0][0].shape != a.shape):
                yield stacked(waiting)
                progress.update(len(waiting))
                waiting = []
            waiting.append((a, b))
        yield stacked(waiting)
        progress.update(len(waiting))


def stacked(waiting: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of one size as two arrays."""
    return np.stack([a for a, _ in waiting]), np.stack([b for _, b in waiting])
