"""CLIP score (Hessel et al. 2021) of images and their captions, with a control."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from davae.core.records import Measurement
from davae.metrics.interval import mean_of

SCALE = 100.0
"""w of the score as generators report it; the original paper has 2.5."""


@dataclass(frozen=True)
class ClipScore:
    """The score, and the same images with captions of others."""

    score: Measurement
    shuffled: Measurement


def similarities(
    images: np.ndarray, captions: np.ndarray, scale: float = SCALE, clamp: bool = True
) -> np.ndarray:
    """scale max(0, cos) of row i of `images` and row i of `captions`, [N, d] each, any length ->
    [N]."""
    if images.shape != captions.shape:
        raise ValueError(
            f"one caption an image is needed: features {images.shape} and {captions.shape}"
        )
    a, b = (
        x.astype(np.float64) / np.linalg.norm(x, axis=1, keepdims=True) for x in (images, captions)
    )
    cosine = (a * b).sum(1)
    return scale * (np.maximum(cosine, 0) if clamp else cosine)


def clip_score(
    images: np.ndarray, captions: np.ndarray, texts: list[str], seed: int = 0
) -> ClipScore:
    """Mean similarity of image and caption features, and of images with another image's caption.

    The control rolls the captions by a seeded number of places, the first from a seeded start that
    gives no image its own text, or the fewest where that cannot be. It is the floor: what the model
    says of any of these images and any of these captions.
    """
    own = similarities(images, captions)
    if len(texts) < 2:
        raise ValueError("the shuffled control needs at least 2 images")
    start = int(np.random.default_rng(seed).integers(1, len(texts)))
    others = len(texts) - 1
    shifts = [1 + (start - 1 + i) % others for i in range(min(others, 100))]
    shift = min(
        shifts, key=lambda s: sum(a == b for a, b in zip(texts, texts[s:] + texts[:s], strict=True))
    )
    shuffled = mean_of("clip_shuffled", similarities(images, np.roll(captions, -shift, 0)))
    return ClipScore(mean_of("clip", own), shuffled)


def retrieval(images: np.ndarray, captions: np.ndarray) -> float:
    """Share of images whose own caption is the most similar of all, [N, d] unit rows each."""
    return float(((images @ captions.T).argmax(1) == np.arange(len(images))).mean())
