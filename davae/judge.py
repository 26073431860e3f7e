"""Judging one set of images by another: extractors, references and rows of metrics, each under its protocol."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock

from davae import keyed
from davae.config import digest
from davae.features.clip import Clip, image_tower, load_clip
from davae.features.effnet import effnet
from davae.features.extract import Extractor, extract
from davae.features.images import Images, open_images
from davae.features.inception import inception
from davae.metrics.coverage import NEIGHBOURS, coverage
from davae.metrics.distribution import Moments, frechet, frechet_infinity, frechet_note, frechet_of_moments, kernel
from davae.metrics.estimate import Estimate
from davae.metrics.inception_score import inception_score
from davae.metrics.protocol import Protocol
from davae.request import EvalRequest
from davae.stages.clip_tiny import clip_tiny_stage
from davae.stages.stage import Pipeline

DISTANCES = ("fd", "kd", "fd_inf", "prdc")


@dataclass(frozen=True)
class Row:
    """One metric's value under its protocol."""

    metric: str
    estimate: Estimate
    higher_is_better: bool
    protocol: str
    details: Protocol | None = None
    """What `protocol` is the label of, for a distance."""


@dataclass(frozen=True)
class Reference:
    """What images are compared with: features, or only their published moments."""

    name: str
    digest: str
    kind: str
    """`uint8` or what else its images were."""
    moments: Moments
    features: np.ndarray | None


def make_extractor(request: EvalRequest, pipeline: Pipeline, resize: str = "pil") -> Extractor:
    """The extractor that the request names; `resize` is for effnet_lite0."""
    device = pipeline.runtime.device
    if request.extractor == "effnet_lite0":
        return effnet(request.input_px, request.blocks, resize, device)
    if request.extractor == "clip":
        return image_tower(open_clip_model(request.clip_model, pipeline))
    return inception(request.extractor.removeprefix("inception_"), device)


def check_trained(request: EvalRequest, pipeline: Pipeline) -> None:
    """Raise ValueError where the request would train clip_tiny by the way."""
    stage = clip_tiny_stage()
    if (
        request.extractor == "clip"
        and request.clip_model == "clip_tiny"
        and not pipeline.store.has(stage.name, stage.key)
    ):
        raise ValueError("clip_tiny is not trained yet; davae eval --metrics clip does it")


def open_clip_model(spec: str, pipeline: Pipeline) -> Clip:
    """`clip_tiny`, trained first if need be, or a model of open_clip."""
    if spec != "clip_tiny":
        return load_clip(spec, pipeline.runtime.device)
    folder = pipeline.path(clip_tiny_stage()) / "clip_tiny"
    return load_clip(str(folder), pipeline.runtime.device)


def metric_name(metric: str, extractor: str) -> str:
    """FID, KID and IS where InceptionV3 is the extractor; elsewhere the extractor's name is added."""
    if extractor.startswith("inception"):
        return {"fd": "fid", "kd": "kid", "fd_inf": "fid_inf"}.get(metric, metric)
    return f"{metric}_{'effnet' if extractor.startswith('effnet') else clip_slug(extractor)}"


def clip_slug(extractor: str) -> str:
    """`clip_tiny` of the toy judge, `clip` of every other CLIP model."""
    return "clip_tiny" if extractor == "clip clip_tiny" else "clip"


def take(images: Images, count: int, seed: int) -> Images:
    """`count` of the images, chosen by seed and kept in order; all of them where count is 0."""
    if not count or count == len(images):
        return images
    if count > len(images):
        raise ValueError(f"--samples is {count} and {images.name} holds {len(images)} images")
    order = sorted(range(len(images)), key=lambda i: keyed.key(seed, "eval/take", 0, i))
    return images.take(sorted(order[:count]))


LEAST = {"fd": 2, "kd": 2, "fd_inf": 4, "is": 20, "prdc": NEIGHBOURS + 1, "clip": 2}
"""Images that a metric needs at least."""


def check_enough(request: EvalRequest, images: Images) -> None:
    """Raise ValueError for too few images, before anything is computed."""
    for metric, least in LEAST.items():
        if metric in request.metrics and len(images) < least:
            raise ValueError(f"{metric} needs {least} images or more; {images.name} gives {len(images)}")


def read_moments(path: Path) -> Moments | None:
    """mu and sigma of an .npz file of statistics, as ADM's references and clean-fid's are; else None."""
    if path.suffix != ".npz" or not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as stored:
        if not {"mu", "sigma"} <= set(stored.files):
            return None
        return Moments(stored["mu"].astype(np.float64), stored["sigma"].astype(np.float64), None)


def features_of(images: Images, extractor: Extractor, pipeline: Pipeline) -> np.ndarray:
    """Features [N, d], kept in the store under a hash of the images and of the extractor's protocol."""
    about = [images.digest, extractor.name, extractor.weights, extractor.dimensions, extractor.resize]
    path = pipeline.store.root / "features" / f"{digest(about)}.npy"
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


def load_reference(request: EvalRequest, count: int, extractor: Extractor, pipeline: Pipeline) -> Reference:
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
            f"{count} images and {len(images)} references: distances of unequal N cannot be compared; "
            f"--samples {min(count, len(images))} takes as many of each"
        )
    features = features_of(images, extractor, pipeline)
    return Reference(images.name, images.digest, images.kind, Moments.of(features), features)


def published(request: EvalRequest, moments: Moments, extractor: Extractor) -> Reference:
    """The reference of a file of statistics; raises ValueError for another extractor or other metrics than fd."""
    assert request.reference is not None
    of = request.reference_extractor
    if not extractor.name.startswith(of) or len(moments.mean) != extractor.dimensions:
        raise ValueError(
            f"{request.reference} holds statistics of {len(moments.mean)} features of {of} (--reference-extractor) "
            f"and the images are seen by {extractor.name} ({extractor.dimensions} features): two protocols. Use "
            f"--extractor {of}, or give the reference as images"
        )
    others = [m for m in DISTANCES if m != "fd" and m in request.metrics]
    if others:
        raise ValueError(
            f"{', '.join(others)} compare with images, and {request.reference.name} is read as statistics; "
            "use --metrics fd, or give the reference as images"
        )
    sha = hashlib.sha256(moments.mean.tobytes() + moments.covariance.tobytes()).hexdigest()[:12]
    return Reference(request.reference.name, sha, "published statistics", moments, None)


def protocol_of(extractor: Extractor, images: Images, reference: Reference, ddof: int) -> Protocol:
    """The protocol of a distance."""
    kinds = images.kind if images.kind == reference.kind else f"{images.kind}; reference {reference.kind}"
    return Protocol(
        extractor=extractor.name, weights=extractor.weights, dimensions=extractor.dimensions, resize=extractor.resize,
        quantisation=kinds, ddof=ddof, reference=reference.digest, samples=len(images),
    )  # fmt: skip


def distances(
    request: EvalRequest, images: Images, extractor: Extractor, pipeline: Pipeline, ddof: int = 1
) -> list[Row]:
    """The distances to the reference among the request's metrics; unequal numbers of images are an error."""
    reference = load_reference(request, len(images), extractor, pipeline)
    protocol = protocol_of(extractor, images, reference, ddof)
    features = features_of(images, extractor, pipeline)
    wanted = [m for m in request.metrics if m in DISTANCES]
    return [row for m in wanted for row in distance(m, features, reference, protocol, request.seed)]


def score_of_classes(images: Images, extractor: Extractor, pipeline: Pipeline) -> Row:
    """The Inception Score under the extractor's classifier."""
    probabilities = extract(extractor, images, pipeline.runtime.device, probabilities=True)
    about = f"{extractor.classifier or extractor.name} {extractor.weights}, {extractor.resize}; "
    about += f"{images.kind}; N {len(images)}; 10 splits"
    return Row(metric_name("is", extractor.name), inception_score(probabilities), True, about)


def distance(metric: str, x: np.ndarray, reference: Reference, protocol: Protocol, seed: int = 0) -> list[Row]:
    """One of `DISTANCES` of features [N, d] to the reference: a row, or the four of prdc."""
    name, y, label = metric_name(metric, protocol.extractor), reference.features, protocol.label()
    if y is None:
        moments = Moments.of(x, protocol.ddof)
        said = (frechet_note(len(x), x.shape[1], (moments,)), f"N of {reference.name} is not stated")
        value = frechet_of_moments(moments, reference.moments)
        estimate = Estimate(value, len(x), note="; ".join(note for note in said if note))
        return [Row(name, estimate, False, label, protocol)]
    if metric == "prdc":
        found = {metric_name(k, protocol.extractor): v for k, v in vars(coverage(x, y)).items()}
        about = f"{label}; balls of {NEIGHBOURS} neighbours"
        return [Row(k, Estimate(v, len(x)), True, about, protocol) for k, v in found.items()]
    if metric == "fd":
        estimate = frechet(x, y, protocol.ddof)
    else:
        estimate = kernel(x, y) if metric == "kd" else frechet_infinity(x, y, seed)
    return [Row(name, estimate, False, label, protocol)]
