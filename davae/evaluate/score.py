"""`davae eval`: the metrics of a request, each under its protocol."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from davae.core.hashing import digest
from davae.core.records import Measurement, Protocol
from davae.data.captions import caption_table
from davae.data.image_sets import ArrayImages, Images, open_images
from davae.data.scenes import CLASSES
from davae.evaluate.pairs import check_paired, pairs
from davae.evaluate.reference import (
    Reference,
    features_of,
    load_reference,
    open_request,
    read_moments,
    take,
)
from davae.evaluate.request import EvalRequest
from davae.features.clip import TINY, image_tower, open_clip_model, text_features
from davae.features.extract import Extractor, Host, extract
from davae.features.registry import open_extractor
from davae.metrics.clip_score import SCALE
from davae.metrics.metric import CaptionedImages, FeaturePair, Metric
from davae.metrics.registry import chosen
from davae.metrics.scoring import (
    protocol_of,
    score_classes,
    score_features,
    score_pairs,
    score_scenes,
)
from davae.stages.clip_tiny import trained_models
from davae.stages.stage import Pipeline

SCENES = 256
"""Images judged at once."""


@dataclass
class Scores:
    """Measurements, and the protocols of the distances among them, by label."""

    measured: list[Measurement] = field(default_factory=list)
    protocols: dict[str, Protocol] = field(default_factory=dict)


def host(pipeline: Pipeline) -> Host:
    """What extractors are opened with; models that are trained here come from the pipeline."""
    return Host(pipeline.runtime.device, trained_models(pipeline))


def check(request: EvalRequest) -> None:
    """Raise ValueError for options that do not fit together."""
    compared = chosen(request.metrics, "features", "pairs")
    captioned = chosen(request.metrics, "captions")
    latent = chosen(request.metrics, "latents")
    if latent:
        raise ValueError(
            f"{', '.join(m.name for m in latent)} are of latents, which images do not show"
        )
    if compared and request.reference is None:
        names = ", ".join(metric.name for metric in compared)
        raise ValueError(f"{names} compare with a reference: name one with --reference")
    needy = [metric.name for metric in compared if not metric.of_moments]
    if needy and request.reference is not None and read_moments(request.reference) is not None:
        raise ValueError(
            f"{', '.join(needy)} compare with images, and {request.reference} holds statistics; "
            "use --metrics fd, or give the reference as images"
        )
    if captioned and request.captions is None:
        raise ValueError(
            "clip needs the captions: name a .csv, .tsv or .jsonl file with --captions"
        )
    if request.clip_model != TINY and not captioned:
        raise ValueError(
            f"--clip-model {request.clip_model} is of the metric clip, which is not asked for; as "
            f"the extractor of distances: --extractor clip:model={request.clip_model}"
        )
    if request.captions is not None and not captioned:
        raise ValueError(
            "--captions is given and clip is not among the metrics; add it: --metrics fd kd clip"
        )


def check_enough(request: EvalRequest, images: Images) -> None:
    """Raise ValueError for too few images, before anything is computed."""
    for metric in chosen(request.metrics, "features", "pairs", "captions", "classes", "scenes"):
        if len(images) < metric.least:
            raise ValueError(
                f"{metric.name} needs {metric.least} images or more; {images.name} gives "
                f"{len(images)}"
            )


def score(request: EvalRequest, pipeline: Pipeline) -> Scores:
    """Every metric asked for, under the one protocol of the request."""
    check(request)
    images = open_request(request.images, request)
    check_enough(request, images)
    scores = Scores()
    if chosen(request.metrics, "features", "classes"):
        scores = of_features(request, images, pipeline)
    if chosen(request.metrics, "pairs"):
        scores.measured += of_pairs(request, pipeline.runtime.device)
    if chosen(request.metrics, "scenes"):
        scores.measured += of_scenes(request, images)
    if chosen(request.metrics, "captions"):
        scores.measured += of_captions(request, images, pipeline)
    return scores


def of_features(request: EvalRequest, images: Images, pipeline: Pipeline, ddof: int = 1) -> Scores:
    """Distances and Inception Score on the request's extractor; covariances over N - ddof."""
    extractor, device = open_extractor(request.extractor, host(pipeline)), pipeline.runtime.device
    if chosen(request.metrics, "classes") and extractor.classify is None:
        raise ValueError(
            f"{extractor.name} gives no class probabilities, which the Inception Score needs; "
            "leave out is"
        )
    scores = Scores()
    if chosen(request.metrics, "features"):
        reference = load_reference(request, len(images), extractor, pipeline)
        protocol = distance_protocol(extractor, images, reference, ddof)
        own = features_of(images, extractor, pipeline)
        pair = FeaturePair(own, reference.features, reference.moments, seed=request.seed, ddof=ddof)
        scores.measured += score_features(request.metrics, extractor, pair, protocol)
        scores.protocols[protocol.label()] = protocol
    scores.measured += score_classes(request.metrics, extractor, images, device)
    return scores


def distance_protocol(
    extractor: Extractor, images: Images, reference: Reference, ddof: int
) -> Protocol:
    """The protocol of a distance between two sets of images."""
    kinds = (
        images.kind
        if images.kind == reference.kind
        else f"{images.kind}; reference {reference.kind}"
    )
    return protocol_of(
        extractor, quantisation=kinds, reference=reference.digest, samples=len(images), ddof=ddof
    )


def of_pairs(request: EvalRequest, device: str) -> list[Measurement]:
    """The metrics of images with the references of the same name."""
    assert request.reference is not None
    sets = [open_images(path, request.quantisation) for path in (request.images, request.reference)]
    check_paired(*sets)
    images, reference = (take(x, request.samples, request.seed) for x in sets)

    def protocol(metric: Metric) -> str:
        network = "" if metric.network is None else f"; {metric.network()}"
        return f"{metric.protocol}{network}; {images.kind}; reference {reference.digest}"

    return score_pairs(request.metrics, pairs(images, reference), protocol, device)


def scene_labels(images: Images) -> np.ndarray:
    """The class of every image: what `labels.npy` beside an array says, or what its folder is named
    by, as `circle, upright/0.png`.

    Raises ValueError for a folder that is no class of scenes."""
    if isinstance(images, ArrayImages) and images.labels is not None:
        return images.labels
    labels = []
    for name in images.names():
        folder = Path(name).parent.name
        if folder not in CLASSES:
            raise ValueError(
                f"{images.name}: {name} is in no folder of a class of scenes; folders are named "
                f"{', '.join(repr(c) for c in CLASSES[:3])}, ..., {CLASSES[-1]!r}"
            )
        labels.append(CLASSES.index(folder))
    return np.array(labels)


def of_scenes(request: EvalRequest, images: Images) -> list[Measurement]:
    """The metrics of scenes whose folders are their classes."""
    labels = scene_labels(images)

    def chunks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in tqdm(
            range(0, len(images), SCENES), desc="scenes", unit="batch", delay=2, leave=False
        ):
            part = range(start, min(start + SCENES, len(images)))
            read = np.stack([np.asarray(images.read(i)) for i in part]).transpose(0, 3, 1, 2)
            yield read, labels[part.start : part.stop]

    return score_scenes(request.metrics, chunks(), f"{images.kind}; N {len(images)}")


def read_captions(path: Path, images: Images) -> list[str]:
    """The caption of every image, by its path within the folder, or by its number in an array."""
    captions = caption_table(path)
    names = images.names()
    absent = [name for name in names if name not in captions]
    if absent:
        raise ValueError(
            f"{path} has no caption for {len(absent)} of {len(names)} images, the first {absent[0]}"
        )
    return [captions[name] for name in names]


def of_captions(request: EvalRequest, images: Images, pipeline: Pipeline) -> list[Measurement]:
    """The CLIP score and its control; `clip_tiny` is the name where that is the model."""
    assert request.captions is not None
    captions = read_captions(request.captions, images)
    clip = open_clip_model(request.clip_model, host(pipeline))
    tower = image_tower(clip)
    features = extract(tower, images, pipeline.runtime.device)
    sample = CaptionedImages(features, text_features(clip, captions), captions, request.seed)
    protocol = (
        f"{tower.name} {clip.weights}, {tower.resize}; {images.kind}; {SCALE:g} max(0, cos); "
    )
    protocol += f"captions {digest(captions, 10)}"
    measured = []
    for metric in chosen(request.metrics, "captions"):
        result = metric.compute(sample)
        for m in result if isinstance(result, list) else [result]:
            up = metric.higher_is_better if m.higher_is_better is None else m.higher_is_better
            measured.append(
                replace(
                    m, metric=clip_name(m.metric, clip.name), higher_is_better=up, protocol=protocol
                )
            )
    return measured


def clip_name(metric: str, model: str) -> str:
    """`clip_tiny` and `clip_tiny_shuffled` of the toy judge; `clip_score` and `clip_score_shuffled`
    of others."""
    first, _, rest = metric.partition("_")
    if first != "clip":
        return metric
    name = TINY if model == TINY else "clip_score"
    return f"{name}_{rest}" if rest else name
