"""Distances on patches at native resolution: what a whole image, reduced to an extractor's input,
does not show."""

from __future__ import annotations

from typing import Any

import numpy as np

from davae.core import keyed
from davae.core.experiment import EvalConfig
from davae.core.records import Measurement
from davae.features.extract import Host
from davae.features.registry import open_extractor
from davae.stages.artifacts import images_hash
from davae.stages.judging import distances, features_of

OF_IMAGE = 4
"""Patches of an image."""


class Patches:
    """OF_IMAGE squares of `px` at drawn places of each of some uint8 images [N, 3, H, W], indexed
    as an array of them is. The place of a patch depends on its number alone."""

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, images: Any, px: int):
        if min(images.shape[2:]) < px:
            raise ValueError(f"images of {images.shape[2:]} have no patches of {px} px")
        self.images, self.px = images, px
        self.shape = (OF_IMAGE * len(images), 3, px, px)
        numbers = list(range(len(self)))
        drawn = [keyed.uniform(0, f"patches/{axis}", 0, numbers).numpy() for axis in ("y", "x")]
        room = [side - px + 1 for side in images.shape[2:]]
        self.corners = np.stack([(u * r).astype(int) for u, r in zip(drawn, room, strict=True)], 1)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> np.ndarray:
        """One patch, or those of a slice."""
        if isinstance(index, slice):
            return np.stack([self[i] for i in range(*index.indices(len(self)))])
        top, left = self.corners[index]
        image = self.images[index // OF_IMAGE]
        return np.array(image[:, top : top + self.px, left : left + self.px])

    @property
    def _mmap(self) -> Any:
        """What the images lie in, whose memory `give_back` gives back."""
        return getattr(self.images, "_mmap", None)


def patch_measurements(
    images: Any, references: Any, metrics: EvalConfig, device: str, split: str
) -> list[Measurement]:
    """gp*: the distances of samples to real images by the first judge, on patches of its input
    size, unscaled; none where images are no larger than it."""
    px = metrics.input_px
    if min(images.shape[2:]) <= px:
        return []
    spec = metrics.judges[0]
    own, real = (features_of(Patches(x, px), spec, device) for x in (images, references))
    said = f"{OF_IMAGE} patches of {px} px of each of {split} {images_hash(references)}"
    return distances(metrics.metrics, open_extractor(spec, Host(device)), own, real, said, "gp")
