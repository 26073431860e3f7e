"""What images are compared with: other images, or published statistics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock

from davae.core import keyed
from davae.core.hashing import digest, sha256
from davae.data.image_sets import Images, open_images
from davae.evaluate.request import EvalRequest
from davae.features.extract import Extractor, extract
from davae.metrics.distribution import Moments
from davae.stages.stage import Pipeline


@dataclass(frozen=True)
class Reference:
    """What images are compared with: features, or only their published moments."""

    digest: str
    kind: str
    """`uint8` or what else its images were."""
    moments: Moments
    features: np.ndarray | None


def take(images: Images, count: int, seed: int) -> Images:
    """`count` of the images, chosen by seed and kept in order; all of them where count is 0."""
    if not count or count == len(images):
        return images
    if count > len(images):
        raise ValueError(f"--samples is {count} and {images.name} holds {len(images)} images")
    order = sorted(range(len(images)), key=lambda i: keyed.key(seed, "eval/take", 0, i))
    return images.take(sorted(order[:count]))


def read_moments(path: Path) -> Moments | None:
    """mu and sigma of an .npz file of statistics, as ADM's references and clean-fid's are; else
    None."""
    if path.suffix != ".npz" or not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as stored:
        if not {"mu", "sigma"} <= set(stored.files):
            return None
        return Moments(stored["mu"].astype(np.float64), stored["sigma"].astype(np.float64), None)


def features_of(images: Images, extractor: Extractor, pipeline: Pipeline) -> np.ndarray:
    """Features [N, d], kept in the store under a hash of the images and of the extractor's
    protocol."""
    identity = [
        images.digest,
        extractor.name,
        extractor.weights,
        extractor.dimensions,
        extractor.resize,
    ]
    path = pipeline.store.root / "features" / f"{digest(identity)}.npy"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.exists():
            partial = path.with_suffix(".partial.npy")
            np.save(partial, extract(extractor, images, pipeline.runtime.device))
            partial.rename(path)
    return np.load(path)


def open_request(path: Path, request: EvalRequest) -> Images:
    """The images at `path`, quantised and chosen as the request says."""
    return take(open_images(path, request.quantisation), request.samples, request.seed)


def load_reference(
    request: EvalRequest, count: int, extractor: Extractor, pipeline: Pipeline
) -> Reference:
    """The reference for `count` images as this extractor sees it.

    Raises ValueError where its protocol is another or its number of images differs.
    """
    assert request.reference is not None
    moments = read_moments(request.reference)
    if moments is not None:
        return published(request, moments, extractor)
    images = open_request(request.reference, request)
    if len(images) != count:
        raise ValueError(
            f"{count} images and {len(images)} references: distances of unequal N cannot be "
            "compared; "
            f"--samples {min(count, len(images))} takes as many of each"
        )
    features = features_of(images, extractor, pipeline)
    return Reference(images.digest, images.kind, Moments.of(features), features)


def published(request: EvalRequest, moments: Moments, extractor: Extractor) -> Reference:
    """The reference of a file of statistics; raises ValueError where another extractor sees the
    images."""
    assert request.reference is not None
    of = request.reference_extractor
    if not extractor.name.startswith(of) or len(moments.mean) != extractor.dimensions:
        raise ValueError(
            f"{request.reference} holds statistics of {len(moments.mean)} features of {of} "
            "(--reference-extractor) "
            f"and the images are seen by {extractor.name} ({extractor.dimensions} features): "
            "two protocols. Use "
            f"--extractor {of}, or give the reference as images"
        )
    sha = sha256([moments.mean.tobytes(), moments.covariance.tobytes()])
    return Reference(sha, "published statistics", moments, None)
