"""From features, pairs or class probabilities to measurements under their protocols: what `run` and
`eval` share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from davae.core.records import Measurement, Protocol
from davae.data.image_sets import Images
from davae.features.extract import Extractor, extract
from davae.metrics.interval import mean_of
from davae.metrics.metric import FeaturePair, ImagePairs, Metric, SceneImages
from davae.metrics.registry import chosen

Chunks = Iterable[tuple[np.ndarray, np.ndarray]]
"""uint8 (images, references), [n, 3, H, W] each; or (images, labels [n])."""


def protocol_of(
    extractor: Extractor, *, quantisation: str, reference: str, samples: int, ddof: int = 1
) -> Protocol:
    """The protocol of a distance on the extractor's features."""
    return Protocol(
        extractor=extractor.name,
        weights=extractor.weights,
        dimensions=extractor.dimensions,
        resize=extractor.resize,
        quantisation=quantisation,
        ddof=ddof,
        reference=reference,
        samples=samples,
    )


def score_features(
    names: Iterable[str],
    extractor: Extractor,
    pair: FeaturePair,
    protocol: Protocol,
    prefix: str = "",
) -> list[Measurement]:
    """The metrics among `names` that need features; `prefix` is r of a reconstruction or g of
    samples in a run."""
    return [
        m
        for metric in chosen(names, "features")
        for m in _named(metric, metric.compute(pair), extractor, protocol.label(), prefix)
    ]


def score_classes(
    names: Iterable[str], extractor: Extractor, images: Images, device: str, prefix: str = ""
) -> list[Measurement]:
    """The metrics among `names` that need class probabilities, which not every extractor gives."""
    metrics = chosen(names, "classes")
    if not metrics:
        return []
    probabilities = extract(extractor, images, device, probabilities=True)
    protocol = f"{extractor.classifier or extractor.name} {extractor.weights}, {extractor.resize}; "
    protocol += f"{images.kind}; N {len(images)}; 10 splits"
    return [
        m
        for metric in metrics
        for m in _named(metric, metric.compute(probabilities), extractor, protocol, prefix)
    ]


def score_pairs(
    names: Iterable[str], chunks: Chunks, protocol: Callable[[Metric], str], device: str
) -> list[Measurement]:
    """The metrics among `names` that need pairs: the mean over images of each one's value."""
    metrics = chosen(names, "pairs")
    protocols = [
        protocol(metric) for metric in metrics
    ]  # which names missing weights before anything is computed
    values: list[list[np.ndarray]] = [[] for _ in metrics]
    for images, references in chunks:
        for metric, parts in zip(metrics, values, strict=True):
            parts.append(metric.compute(ImagePairs(images, references, device)))
    means = [
        mean_of(metric.column or metric.name, np.concatenate(v))
        for metric, v in zip(metrics, values, strict=True)
    ]
    return [
        replace(mean, higher_is_better=metric.higher_is_better, protocol=text)
        for metric, mean, text in zip(metrics, means, protocols, strict=True)
    ]


def score_scenes(names: Iterable[str], chunks: Chunks, identity: str) -> list[Measurement]:
    """The metrics among `names` that judge scenes: the mean of each one's values.

    chunks: uint8 images [n, 3, H, W] and labels [n]; identity: what the protocol says of them."""
    metrics = chosen(names, "scenes")
    values: list[list[np.ndarray]] = [[] for _ in metrics]
    for images, labels in chunks:
        for metric, parts in zip(metrics, values, strict=True):
            parts.append(metric.compute(SceneImages(images, labels)))
    measured = []
    for metric, parts in zip(metrics, values, strict=True):
        of_images = np.concatenate(parts)
        if np.isnan(of_images).all():
            continue
        mean = mean_of(metric.name, of_images[~np.isnan(of_images)])
        protocol = f"{metric.protocol}; {identity}"
        measured.append(replace(mean, higher_is_better=metric.higher_is_better, protocol=protocol))
    return measured


def _named(
    metric: Metric,
    result: Measurement | list[Measurement],
    extractor: Extractor,
    protocol: str,
    prefix: str,
) -> list[Measurement]:
    """The measurements with their names in records, their direction and their protocol."""
    return [
        replace(
            m,
            metric=prefix + extractor.metric_name(m.metric),
            higher_is_better=metric.higher_is_better,
            protocol=f"{protocol}; {m.protocol}" if m.protocol else protocol,
        )
        for m in (result if isinstance(result, list) else [result])
    ]
