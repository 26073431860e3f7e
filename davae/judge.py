"""Judging one set of images by another: extractors, references and rows of metrics, each under its protocol."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from davae import keyed
from davae.config import digest
from davae.features.clip import Clip, image_tower, load_clip
from davae.features.effnet import effnet
from davae.features.extract import Extractor, extract
from davae.features.images import FolderImages, Images, open_images
from davae.features.inception import inception
from davae.metrics import perceptual, reconstruction
from davae.metrics.coverage import NEIGHBOURS, coverage
from davae.metrics.distribution import Moments, frechet, frechet_infinity, frechet_note, frechet_of_moments, kernel
from davae.metrics.estimate import Estimate, mean_of
from davae.metrics.inception_score import inception_score
from davae.metrics.protocol import Protocol
from davae.request import EvalRequest
from davae.stages.clip_tiny import clip_tiny_stage
from davae.stages.stage import Pipeline

DISTANCES = ("fd", "kd", "fd_inf", "prdc")
CHUNK = 32


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
    return f"{metric}_{extractor.partition(' ')[0].partition('_')[0]}"


def take(images: Images, count: int, seed: int) -> Images:
    """`count` of the images, chosen by seed and kept in order; all of them where count is 0."""
    if not count or count == len(images):
        return images
    if count > len(images):
        raise ValueError(f"--samples is {count} and {images.name} holds {len(images)} images")
    order = sorted(range(len(images)), key=lambda i: keyed.key(seed, "eval/take", 0, i))
    return images.take(sorted(order[:count]))


def read_moments(path: Path) -> Moments | None:
    """mu and sigma of an .npz file of statistics, as ADM's references and clean-fid's are; else None."""
    if path.suffix != ".npz" or not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as stored:
        if not {"mu", "sigma"} <= set(stored.files):
            return None
        return Moments(stored["mu"].astype(np.float64), stored["sigma"].astype(np.float64), None)


def cached_features(images: Images, extractor: Extractor, pipeline: Pipeline) -> tuple[np.ndarray, Path]:
    """Features of a reference set, kept under a hash of its images and of the extractor's protocol."""
    about = [images.digest(), extractor.name, extractor.weights, extractor.dimensions, extractor.resize]
    path = pipeline.store.root / "reference_features" / f"{digest(about)}.npz"
    if not path.exists():
        features = extract(extractor, images, pipeline.runtime.device)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, features=features, about=np.array(json.dumps(about)))
        partial.rename(path)
    with np.load(path, allow_pickle=False) as stored:
        return stored["features"], path


def open_request(path: Path, request: EvalRequest) -> Images:
    """The images at `path`, quantised and chosen as the request says."""
    return take(open_images(path, request.quantisation), request.samples, request.seed)


def load_reference(request: EvalRequest, count: int, extractor: Extractor, pipeline: Pipeline) -> Reference:
    """The reference for `count` images as this extractor sees it.

    Raises ValueError where its protocol is another or its number of images differs.
    """
    assert request.reference is not None
    moments = read_moments(request.reference)
    if moments is None:
        images = open_request(request.reference, request)
        if len(images) != count:
            raise ValueError(
                f"{count} images and {len(images)} references: distances of unequal N cannot be compared; "
                f"--samples {min(count, len(images))} takes as many of each"
            )
        features, _ = cached_features(images, extractor, pipeline)
        return Reference(images.name, images.digest(), Moments.of(features), features)
    if extractor.name != "inception_legacy_tensorflow" or len(moments.mean) != extractor.dimensions:
        raise ValueError(
            f"{request.reference} holds statistics of {len(moments.mean)} InceptionV3 features under TensorFlow's "
            f"resizing, and the images are seen by {extractor.name} ({extractor.dimensions} features, "
            f"{extractor.resize}): two protocols. Use --extractor inception_legacy_tensorflow, or give the reference "
            "as images"
        )
    sha = digest([moments.mean.tolist(), float(np.trace(moments.covariance))], 12)
    return Reference(request.reference.name, sha, moments, None)


def protocol_of(extractor: Extractor, request: EvalRequest, ddof: int, reference: Reference, samples: int) -> Protocol:
    """The protocol of a distance."""
    return Protocol(
        extractor=extractor.name, weights=extractor.weights, dimensions=extractor.dimensions, resize=extractor.resize,
        quantisation=f"uint8 files, or float images {request.quantisation}", ddof=ddof,
        reference=f"{reference.name} {reference.digest}", samples=samples,
    )  # fmt: skip


def distances(
    request: EvalRequest, images: Images, extractor: Extractor, pipeline: Pipeline, ddof: int = 1
) -> list[Row]:
    """The distances to the reference among the request's metrics; unequal numbers of images are an error."""
    reference = load_reference(request, len(images), extractor, pipeline)
    protocol = protocol_of(extractor, request, ddof, reference, len(images))
    features = extract(extractor, images, pipeline.runtime.device)
    wanted = [m for m in request.metrics if m in DISTANCES]
    return [row for m in wanted for row in distance(m, features, reference, protocol)]


def score_of_classes(images: Images, extractor: Extractor, pipeline: Pipeline) -> Row:
    """The Inception Score under the extractor's classifier."""
    probabilities = extract(extractor, images, pipeline.runtime.device, probabilities=True)
    about = f"{extractor.name} {extractor.weights}, {extractor.resize}; 10 splits; images {images.digest()}"
    return Row(metric_name("is", extractor.name), inception_score(probabilities), True, about)


def distance(metric: str, x: np.ndarray, reference: Reference, protocol: Protocol) -> list[Row]:
    """One of `DISTANCES` of features [N, d] to the reference: a row, or the four of prdc."""
    name, y, label = metric_name(metric, protocol.extractor), reference.features, protocol.label()
    if y is None:
        return [Row(name, to_moments(metric, x, reference, protocol.ddof), False, label, protocol)]
    if metric == "prdc":
        found = {metric_name(k, protocol.extractor): v for k, v in vars(coverage(x, y)).items()}
        about = f"{label}; balls of {NEIGHBOURS} neighbours"
        return [Row(k, Estimate(v, len(x)), True, about, protocol) for k, v in found.items()]
    if metric == "fd":
        estimate = frechet(x, y, protocol.ddof)
    else:
        estimate = kernel(x, y) if metric == "kd" else frechet_infinity(x, y)
    return [Row(name, estimate, False, label, protocol)]


def to_moments(metric: str, x: np.ndarray, reference: Reference, ddof: int) -> Estimate:
    """The Frechet distance to published moments; other metrics need features and raise ValueError."""
    if metric != "fd":
        raise ValueError(f"{metric} needs the reference's features; {reference.name} holds mean and covariance only")
    moments = Moments.of(x, ddof)
    said = (frechet_note(len(x), x.shape[1], (moments,)), f"N of {reference.name} is not stated")
    value = frechet_of_moments(moments, reference.moments)
    return Estimate(value, len(x), note="; ".join(note for note in said if note))


def check_paired(images: Images, reference: Images) -> None:
    """Raise ValueError unless the two sets hold the same names, or where they have none as many images."""
    if isinstance(images, FolderImages) and isinstance(reference, FolderImages):
        a, b = (x.relative(suffix=False) for x in (images, reference))
        if a != b:
            odd = sorted(set(a) ^ set(b))[:5]
            raise ValueError(f"psnr, ssim, lpips and pd compare files of one name; without a partner: {', '.join(odd)}")
    if len(images) != len(reference):
        raise ValueError(
            f"psnr, ssim, lpips and pd compare pairs: {len(images)} images and {len(reference)} references"
        )


def pairs(images: Images, reference: Images) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """uint8 [n, 3, H, W] pairs in chunks of one size, read as they are needed."""
    if images.read(0).dtype != np.uint8 or reference.read(0).dtype != np.uint8:
        raise ValueError(f"{', '.join(PAIR_METRICS)} are of uint8 images; choose the quantisation rounded or truncated")
    held: list[tuple[np.ndarray, np.ndarray]] = []
    for i in range(len(images)):
        pair = (images.read(i).transpose(2, 0, 1), reference.read(i).transpose(2, 0, 1))
        if held and (len(held) == CHUNK or held[0][0].shape != pair[0].shape):
            yield np.stack([a for a, _ in held]), np.stack([b for _, b in held])
            held = []
        held.append(pair)
    yield np.stack([a for a, _ in held]), np.stack([b for _, b in held])


PAIR_METRICS = {
    "psnr": ("psnr_db", reconstruction.psnr, True, "data range 255, mean over images"),
    "ssim": ("ssim", reconstruction.ssim, True, "11x11 Gaussian, sigma 1.5, data range 255"),
    "lpips": ("lpips", perceptual.lpips, False, "LPIPS 0.1, AlexNet"),
    "pd": ("pd_effnet", perceptual.pd_effnet, False, "EfficientNet-Lite0 stages"),
}
"""Name, function of uint8 pairs, whether higher is better, and protocol."""


def paired(request: EvalRequest, images: Images) -> list[Row]:
    """PSNR, SSIM and perceptual distances of images with the references of the same name."""
    assert request.reference is not None
    reference = open_request(request.reference, request)
    check_paired(images, reference)
    wanted = [m for m in PAIR_METRICS if m in request.metrics]
    found: dict[str, list[np.ndarray]] = {m: [] for m in wanted}
    with tqdm(total=len(images), desc=f"pairs of {images.name}", unit="img", delay=2, leave=False) as progress:
        for a, b in pairs(images, reference):
            for m in wanted:
                found[m].append(PAIR_METRICS[m][1](a, b))
            progress.update(len(a))
    rows = []
    for m in wanted:
        name, _, up, about = PAIR_METRICS[m]
        known = f"{about}; uint8 files, or float images {request.quantisation}; reference {reference.digest()}"
        rows.append(Row(name, mean_of(np.concatenate(found[m])), up, known))
    return rows
