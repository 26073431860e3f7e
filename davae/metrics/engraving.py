"""Whether scenes show the engraving of their class, in closed form from 2 x 2 Haar coefficients.

A line of `davae.data.scenes` is a light row or column beside a dark one within 2 x 2 blocks whose
means it leaves alone. A block's difference between its columns (rows) is then the line's amplitude,
with one sign along the line. A shape's own edge has such differences too, but the mean of a block
that it cuts lies between those of both sides: a block that is like neither neighbour across the
line is no line's. No network and no training: nothing but lines moves these figures.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from davae.data.scenes import AMPLITUDE, ENGRAVINGS

PRESENT = 0.4
"""Share of the drawn amplitude at which a block belongs to a line."""
EDGE = PRESENT * AMPLITUDE
"""Difference of block means, in any channel, from which on they differ. An edge that would count as
a line moves the mean by as much or more."""
RUN = 3
"""Blocks along a line that are averaged: a line is as long at least."""
LEAST = 5
"""Places on lines of one direction from which on an image shows that direction."""
STRONGEST = 10
"""Places on the strongest lines whose mean is the image's amplitude."""
BATCH = 256


@dataclass(frozen=True)
class Direction:
    """Lines of one direction in images; all [N]."""

    places: np.ndarray
    """Blocks from which on RUN blocks lie on a line."""
    amplitude: np.ndarray
    """Mean over the strongest places, as a share of the drawn one."""
    energy: np.ndarray
    """Sum over places of the square of the positive response."""


@dataclass(frozen=True)
class Lines:
    """Upright and level lines in images."""

    upright: Direction
    level: Direction

    @property
    def shown(self) -> np.ndarray:
        """The engraving that each image shows, indices into ENGRAVINGS, [N]."""
        return (self.upright.places >= LEAST) + 2 * (self.level.places >= LEAST)


def alike(means: np.ndarray) -> np.ndarray:
    """Whether a block and the next one to the right have one mean, [N, h, w - 1]."""
    return (abs(means[..., 1:] - means[..., :-1]) < EDGE).all(1)


def upright_lines(response: np.ndarray, means: np.ndarray) -> Direction:
    """Upright lines from the difference of columns [N, h, w] and the means of blocks
    [N, 3, h, w]."""
    beside = alike(means)
    padded = np.pad(beside, ((0, 0), (0, 0), (1, 1)))
    joined = padded[..., 1:] | padded[..., :-1]  # with the block on one side at least
    below = alike(means.swapaxes(2, 3)).swapaxes(1, 2)
    windows = np.lib.stride_tricks.sliding_window_view
    runs = windows(response, RUN, 1).mean(-1)
    runs = runs * windows(joined, RUN, 1).all(-1) * windows(below, RUN - 1, 1).all(-1)
    runs = runs.reshape(len(runs), -1).clip(0)
    strongest = np.partition(runs, -STRONGEST, 1)[:, -STRONGEST:].mean(1) / AMPLITUDE
    return Direction((runs > EDGE).sum(1), strongest, (runs**2).sum(1))


def read_lines(images: np.ndarray) -> Lines:
    """The lines of uint8 images [N, 3, H, W] of even sides, 32 px or more."""
    count, _, height, width = images.shape
    if height % 2 or width % 2 or min(height, width) < 32:
        raise ValueError(
            f"images are {width}x{height} px; lines are read in 2 x 2 blocks of 32 px or more"
        )
    parts = [_read(images[i : i + BATCH]) for i in range(0, count, BATCH)]
    joined = ([np.concatenate(values) for values in zip(*part, strict=True)]
              for part in zip(*parts, strict=True))  # fmt: skip
    return Lines(*(Direction(*values) for values in joined))


def _read(images: np.ndarray) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """The fields of both directions."""
    count, _, height, width = images.shape
    blocks = images.reshape(count, 3, height // 2, 2, width // 2, 2).astype(np.float32)
    means, grey = blocks.mean((3, 5)), blocks.mean(1)
    columns = (grey[..., 0] - grey[..., 1]).mean(2) / 2
    rows = (grey[:, :, 0] - grey[:, :, 1]).mean(-1) / 2
    level = upright_lines(rows.swapaxes(1, 2), means.swapaxes(2, 3))
    return tuple(vars(upright_lines(columns, means)).values()), tuple(vars(level).values())


def engraving_of(labels: np.ndarray) -> np.ndarray:
    """The engraving of each class of scenes, an index into ENGRAVINGS, [N]."""
    return labels % len(ENGRAVINGS)


def detail_accuracy(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """1 for each image [N, 3, H, W] that shows the engraving of its class, else 0."""
    return (read_lines(images).shown == engraving_of(labels)).astype(float)


def detail_amplitude(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Amplitude of the lines of each image's class, as a share of the drawn one; NaN for plain
    classes."""
    lines, engraving = read_lines(images), engraving_of(labels)
    upright, level = lines.upright.amplitude, lines.level.amplitude
    return np.choose(engraving, [np.nan * upright, upright, level, (upright + level) / 2])


def detail_purity(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Share of line energy in the directions of each image's class, evenly where it has two; 0
    without any energy, NaN for plain classes."""
    lines, engraving = read_lines(images), engraving_of(labels)
    upright, level = lines.upright.energy, lines.level.energy
    right = np.choose(engraving, [0 * upright, upright, level, 2 * np.minimum(upright, level)])
    total = upright + level
    share = np.divide(right, total, out=np.zeros_like(total), where=total > 0)
    return np.where(engraving == 0, np.nan, share)
