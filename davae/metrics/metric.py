"""What a metric is: its name, what it needs, and a pure function of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from davae.core.records import Measurement
from davae.metrics.distribution import Moments

Needs = Literal["features", "pairs", "captions", "classes", "latents", "scenes"]
Result = Measurement | list[Measurement]


@dataclass(frozen=True)
class FeaturePair:
    """Features of the judged images and of the reference; what a metric that needs `features` is
    given."""

    images: np.ndarray
    """[N, d]."""
    reference: np.ndarray | None
    """[N, d]; None where only published moments are there."""
    moments: Moments
    """The reference's."""
    paired: bool = False
    """Whether row i of the reference is what row i of the images reconstructs."""
    seed: int = 0
    ddof: int = 1
    """The covariance is over N - ddof."""


@dataclass(frozen=True)
class ImagePairs:
    """uint8 images and references, [n, 3, H, W] each, on their way to `device`; for `pairs`."""

    images: np.ndarray
    references: np.ndarray
    device: str = "cpu"


@dataclass(frozen=True)
class SceneImages:
    """uint8 scenes [n, 3, H, W] and their classes [n], indices into `davae.data.scenes.CLASSES`;
    for `scenes`."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class CaptionedImages:
    """Unit features [N, d] of images and of their captions, and the captions; for `captions`."""

    images: np.ndarray
    captions: np.ndarray
    texts: list[str]
    seed: int = 0


@dataclass(frozen=True)
class LatentSample:
    """Latents [N, C, h, w] of training and held-out images of 2 or more classes; `latents`."""

    train: np.ndarray
    train_labels: np.ndarray
    held: np.ndarray
    held_labels: np.ndarray
    base: np.ndarray
    """z of the held-out images, scaled and flattened, [N, p]."""


@dataclass(frozen=True)
class Metric:
    """One entry of METRICS."""

    name: str
    """What `davae eval --metrics` and `davae run --eval.metrics` take."""
    needs: Needs
    least: int
    """Images that it needs at least."""
    higher_is_better: bool | None
    compute: Callable[[Any], Any]
    """features: FeaturePair -> Result; pairs: ImagePairs -> a value an image, [n]; scenes:
    SceneImages -> the same, NaN where it does not apply; captions: CaptionedImages -> Result;
    classes: probabilities [N, K] -> Result; latents: LatentSample -> Result."""
    summary: str = ""
    """What it is, in a line."""
    protocol: str = ""
    """pairs, scenes: what its value depends on beside the images."""
    network: Callable[[], str] | None = None
    """pairs: the name and the hash of the weights of the network that judges, if one does."""
    column: str = ""
    """Its name in records, where that is not `name`."""
    of_moments: bool = False
    """features: whether published moments of the reference are enough."""
