"""What a scene shows at the base resolution: its shape and its colour, in closed form.

Judged on 2 x 2 block means, so that nothing but what the base image carries moves it: how far the
fill's colour lies from one of the scenes' colours, and which shape's outline it fills best.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from davae.data.scenes import COLOURS, ENGRAVINGS, SHAPES, inside

APART = 30.0
"""Difference from the background, in any channel of 0..255, that belongs to the shape."""
NEAR = 35.0
"""Largest difference in any channel from one of the scenes' colours that is still that colour."""
SIDE = 24
"""Of the grid on which outlines are compared."""
OVERLAP = 0.75
"""Intersection over union with its outline from which on a shape is recognised."""


@lru_cache(maxsize=1)
def outlines() -> np.ndarray:
    """Every shape in its own bounding box, bool [shapes, SIDE, SIDE]."""
    fine = (np.arange(480) + 0.5) / 240 - 1
    x, y = np.meshgrid(fine, fine)
    return np.stack([boxed(inside(shape, x, y)) for shape in SHAPES])


def boxed(mask: np.ndarray) -> np.ndarray:
    """The mask's bounding box brought to SIDE x SIDE, bool."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32)
    size = (SIDE, SIDE)
    return F.interpolate(torch.from_numpy(box)[None, None], size, mode="area")[0, 0].numpy() >= 0.5


def read_content(image: np.ndarray) -> tuple[int, int]:
    """(shape, colour) of a uint8 scene [3, H, W], indices into SHAPES and COLOURS; -1: none of
    them."""
    _, height, width = image.shape
    means = torch.from_numpy(image.reshape(3, height // 2, 2, width // 2, 2).mean((2, 4)))
    small = F.interpolate(means[None], scale_factor=2, mode="bilinear")[0].numpy()
    border = np.concatenate([small[:, 0], small[:, -1], small[:, :, 0], small[:, :, -1]], 1)
    background = np.median(border, 1)[:, None, None]
    foreground = (abs(small - background) > APART).any(0)
    parts, count = ndimage.label(foreground)
    if not count:
        return -1, -1
    largest = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
    fill = np.median(small[:, largest], 1)
    mask = ndimage.binary_dilation(largest) & (
        abs(small - fill[:, None, None]).max(0) < abs(small - background).max(0)
    )
    if not mask.any():
        return -1, -1
    distances = abs(np.array(list(COLOURS.values())) - fill).max(1)
    own, every = boxed(mask), outlines()
    overlaps = (own & every).sum((1, 2)) / (own | every).sum((1, 2))
    return (
        int(overlaps.argmax()) if overlaps.max() >= OVERLAP else -1,
        int(distances.argmin()) if distances.min() <= NEAR else -1,
    )


def content_accuracy(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """1 for each image [N, 3, H, W] that shows the shape of its class in a colour of the scenes."""
    shown = np.array([read_content(image) for image in images])
    return ((shown[:, 0] == labels // len(ENGRAVINGS)) & (shown[:, 1] >= 0)).astype(float)
