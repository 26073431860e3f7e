"""What the stages that measure have in common: the crops that are judged, and the judges."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from davae.core.experiment import EvalConfig
from davae.core.records import Measurement
from davae.data.image_sets import ArrayImages
from davae.data.source import Split
from davae.features.extract import Extractor, Host, extract
from davae.features.registry import open_extractor
from davae.metrics import content
from davae.metrics.distribution import Moments
from davae.metrics.metric import FeaturePair, Metric
from davae.metrics.registry import chosen
from davae.metrics.scoring import (
    protocol_of,
    score_classes,
    score_features,
    score_pairs,
    score_scenes,
)
from davae.stages.artifacts import crops, images_hash
from davae.stages.stage import Work

QUANTISED = "uint8, rounded"


def features_of(images: Any, spec: str, device: str) -> np.ndarray:
    """Features [N, d] of uint8 images [N, 3, H, W]."""
    return extract(open_extractor(spec, Host(device)), ArrayImages("images", images), device)


def array_name(index: int) -> str:
    """What a judge's features are called in an artifact of references, by its place in
    EvalConfig.judges."""
    return f"features{index}" if index else "features"


def judged_crops(work: Work, split: str, metrics: EvalConfig) -> tuple[np.ndarray, np.ndarray]:
    """uint8 images and labels of a split, as many as are judged."""
    return crops(work.inputs["crops"], split, metrics.count)


def judges_of(metrics: EvalConfig) -> tuple[str, ...]:
    """The extractors that are needed: none where no metric is on features."""
    return metrics.judges if chosen(metrics.metrics, "features", "classes") else ()


def make_references(work: Work, metrics: EvalConfig) -> None:
    """Features of real crops: the held-out and fresh ones, and twice as many training crops."""
    device, count = work.runtime.device, len(judged_crops(work, "fresh", metrics)[0])
    for split, first in (("heldout", count), ("fresh", count), ("train", 2 * count)):
        images, labels = crops(work.inputs["crops"], split, first)
        extracted: dict[str, Any] = {"probe_features": features_of(images, metrics.probe, device)}
        for i, spec in enumerate(judges_of(metrics)):
            extracted[array_name(i)] = features_of(images, spec, device)
        np.savez(work.folder / f"{split}.npz", **extracted, labels=labels, hash=images_hash(images))


def distances(
    names: Iterable[str], extractor: Extractor, features: np.ndarray, reference: np.ndarray,
    said: str, prefix: str,
) -> list[Measurement]:  # fmt: skip
    """The metrics among `names` of an extractor's features [N, d] to those of the reference, of
    which the protocol says `said`; paired for the prefix r."""
    pair = FeaturePair(features, reference, Moments.of(reference), paired=prefix == "r")
    protocol = protocol_of(
        extractor, quantisation=QUANTISED, reference=said, samples=len(reference)
    )
    return score_features(names, extractor, pair, protocol, prefix)


class Judge:
    """The distances of image sets to one reference set of real crops, by every extractor of the
    config."""

    def __init__(self, work: Work, reference: str, metrics: EvalConfig):
        self.metrics, self.device = metrics, work.runtime.device
        self.judges = judges_of(metrics)
        self.stored = np.load(work.inputs["references"] / f"{reference}.npz")
        self.reference = f"{reference} {self.stored['hash']}"

    def __call__(self, images: np.ndarray, prefix: str) -> list[Measurement]:
        """Measurements of uint8 images; prefix: r of reconstructions, paired with the reference, or
        g of samples."""
        own = [features_of(images, spec, self.device) for spec in self.judges]
        classes = [] if prefix == "r" else self.of_classes(images)
        return self.of_features(own, prefix) + classes

    def of_features(self, own: list[np.ndarray], prefix: str) -> list[Measurement]:
        """The same from the features that each extractor gives."""
        return [
            m
            for i, (spec, features) in enumerate(zip(self.judges, own, strict=True))
            for m in distances(
                self.metrics.metrics, open_extractor(spec, Host(self.device)), features,
                self.stored[array_name(i)], self.reference, prefix,
            )
        ]  # fmt: skip

    def of_classes(self, images: np.ndarray) -> list[Measurement]:
        """Of the class probabilities of samples."""
        extractors = (open_extractor(spec, Host(self.device)) for spec in self.judges)
        image_set = ArrayImages("images", images)
        return [
            m
            for x in extractors
            for m in score_classes(self.metrics.metrics, x, image_set, self.device, "g")
        ]


def pixel_measurements(
    images: np.ndarray, originals: np.ndarray, metrics: EvalConfig, device: str
) -> list[Measurement]:
    """The metrics of pairs of uint8 images: the mean over images of the value of each."""

    def protocol(metric: Metric) -> str:
        pairs = f"{QUANTISED}; held-out crops {images_hash(originals)}"
        return pairs if metric.network is None else f"{pairs}; {metric.network()}"

    return score_pairs(metrics.metrics, [(images, originals)], protocol, device)


def scene_measurements(
    images: np.ndarray, labels: np.ndarray, metrics: EvalConfig
) -> list[Measurement]:
    """The metrics of scenes, of uint8 images with their classes."""
    return score_scenes(metrics.metrics, [(images, labels)], f"{QUANTISED}; N {len(images)}")


@cache
def probe_of(references: Path) -> Any:
    """The linear probe of an artifact of references, fitted once a process."""
    real = np.load(references / "train.npz")
    return content.linear_probe(real["probe_features"], real["labels"])


def content_measurements(
    work: Work, images: np.ndarray, labels: np.ndarray, metrics: EvalConfig, split: Split
) -> list[Measurement]:
    """A linear probe's accuracy, and how much nearer than unseen crops, those of `split`, the
    training crops are.

    The ratio is left out for the unseen crops themselves."""
    real, unseen = (np.load(work.inputs["references"] / f"{s}.npz") for s in ("train", split))
    features = features_of(images, metrics.probe, work.runtime.device)
    weights = open_extractor(metrics.probe, Host(work.runtime.device)).weights
    extractor = f"{features.shape[1]} features at {metrics.probe_px} px; weights {weights}"
    measured = []
    if str(unseen["hash"]) != images_hash(images):
        ratios = content.nearest_ratio(features, real["probe_features"], unseen["probe_features"])
        protocol = f"median; {len(unseen['labels'])} training and {split} crops each; {extractor}"
        ratio = Measurement(
            "nearest_ratio", float(np.median(ratios)), len(images), protocol=protocol
        )
        measured.append(ratio)
    if len(set(real["labels"])) == 1:  # a single class leaves nothing to tell apart
        return measured
    probe = probe_of(work.inputs["references"])
    protocol = f"logistic regression on {extractor}; "
    protocol += f"{len(real['labels'])} training crops {real['hash']}"
    accuracy = float(probe.score(features, labels))
    probed = Measurement(
        "probe_accuracy", accuracy, len(images), higher_is_better=True, protocol=protocol
    )
    return [*measured, probed]
