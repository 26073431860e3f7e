"""The stages that measure. Each leaves its measurements by the row of the table that they belong
to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from davae.core import keyed
from davae.core.experiment import EvalConfig
from davae.core.records import Measurement, write_measurements
from davae.core.runtime import Runtime
from davae.data.image_sets import ArrayImages
from davae.data.pixels import to_uint8, upsample
from davae.features.extract import Host, extract
from davae.features.registry import open_extractor
from davae.method.alignment import alignment_loss, channel_variance, orthogonal
from davae.method.latent import join
from davae.metrics import content
from davae.metrics.distribution import Moments, frechet_of_moments
from davae.metrics.metric import FeaturePair, Metric
from davae.metrics.registry import chosen
from davae.metrics.scoring import (
    protocol_of,
    score_classes,
    score_features,
    score_pairs,
    score_scenes,
)
from davae.models.davae import DAVAE
from davae.stages.artifacts import crops, images_hash, joined_latents, load_davae, load_vae
from davae.stages.autoencoder import raw_detail
from davae.stages.data import base_images
from davae.stages.samples import LATENTS
from davae.stages.stage import Work
from davae.train.davae import VARIANCE_SAMPLES

QUANTISED = "uint8, rounded"
SHOWN = 4
"""Images a class kept for the grids."""
BATCH = 20
"""Latents decoded at once."""


def features_of(images: np.ndarray, spec: str, device: str) -> np.ndarray:
    """Features [N, d] of uint8 images [N, 3, H, W]."""
    return extract(open_extractor(spec, Host(device)), ArrayImages("images", images), device)


def array_name(index: int) -> str:
    """What a judge's features are called in an artifact of references, by its place in
    EvalConfig.judges."""
    return f"features{index}" if index else "features"


def judged_crops(work: Work, split: str, metrics: EvalConfig) -> tuple[np.ndarray, np.ndarray]:
    """uint8 images and labels of a split, as many as are judged."""
    images, labels = crops(work.inputs["crops"], split)
    count = metrics.count or len(images)
    return images[:count], labels[:count]


def judges_of(metrics: EvalConfig) -> tuple[str, ...]:
    """The extractors that are needed: none where no metric is on features."""
    return metrics.judges if chosen(metrics.metrics, "features", "classes") else ()


def make_references(work: Work, metrics: EvalConfig) -> None:
    """Features of real crops: the held-out and fresh ones, and twice as many training crops."""
    device, count = work.runtime.device, len(judged_crops(work, "fresh", metrics)[0])
    for split, first in (("heldout", count), ("fresh", count), ("train", 2 * count)):
        images, labels = (part[:first] for part in crops(work.inputs["crops"], split))
        extracted: dict[str, Any] = {"probe_features": features_of(images, metrics.probe, device)}
        for i, spec in enumerate(judges_of(metrics)):
            extracted[array_name(i)] = features_of(images, spec, device)
        np.savez(work.folder / f"{split}.npz", **extracted, labels=labels, hash=images_hash(images))


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
        measured: list[Measurement] = []
        for i, (spec, features) in enumerate(zip(self.judges, own, strict=True)):
            extractor, reference = (
                open_extractor(spec, Host(self.device)),
                self.stored[array_name(i)],
            )
            pair = FeaturePair(features, reference, Moments.of(reference), paired=prefix == "r")
            samples = len(reference)
            protocol = protocol_of(
                extractor, quantisation=QUANTISED, reference=self.reference, samples=samples
            )
            measured += score_features(self.metrics.metrics, extractor, pair, protocol, prefix)
        return measured

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


def content_measurements(
    work: Work, images: np.ndarray, labels: np.ndarray, metrics: EvalConfig
) -> list[Measurement]:
    """A linear probe's accuracy, and how much nearer than unseen crops the training crops are.

    The ratio is left out for the unseen (fresh) crops themselves."""
    real, unseen = (np.load(work.inputs["references"] / f"{s}.npz") for s in ("train", "fresh"))
    features = features_of(images, metrics.probe, work.runtime.device)
    weights = open_extractor(metrics.probe, Host(work.runtime.device)).weights
    extractor = f"{features.shape[1]} features at {metrics.probe_px} px; weights {weights}"
    measured = []
    if str(unseen["hash"]) != images_hash(images):
        ratios = content.nearest_ratio(features, real["probe_features"], unseen["probe_features"])
        protocol = f"median; {len(unseen['labels'])} training and fresh crops each; {extractor}"
        ratio = Measurement(
            "nearest_ratio", float(np.median(ratios)), len(images), protocol=protocol
        )
        measured.append(ratio)
    if len(set(real["labels"])) == 1:  # a single class leaves nothing to tell apart
        return measured
    probe = content.linear_probe(real["probe_features"], real["labels"])
    protocol = f"logistic regression on {extractor}; "
    protocol += f"{len(real['labels'])} training crops {real['hash']}"
    accuracy = float(probe.score(features, labels))
    probed = Measurement(
        "probe_accuracy", accuracy, len(images), higher_is_better=True, protocol=protocol
    )
    return [*measured, probed]


@torch.no_grad()
def make_baselines(work: Work, metrics: EvalConfig, scale: int, antialias: bool) -> None:
    """Rows without a DA-VAE: bicubic, the base VAE at its own resolution, and real crops."""
    device = work.runtime.device
    heldout, labels = judged_crops(work, "heldout", metrics)
    small = base_images(heldout, scale, antialias)
    bicubic = to_uint8(upsample(small, scale))
    measured = {"bicubic": pixel_measurements(bicubic, heldout, metrics, device)}
    measured["bicubic"] += Judge(work, "heldout", metrics)(bicubic, "r")
    measured["bicubic"] += scene_measurements(bicubic, labels, metrics)
    vae = load_vae(work)
    latents = torch.from_numpy(np.load(work.inputs["base_latents"] / "heldout.npy"))[: len(heldout)]
    with work.runtime.autocast():
        parts = (latents[i : i + BATCH].to(device) for i in range(0, len(latents), BATCH))
        decoded = [vae.decode(part).sample for part in parts]
    decoded = torch.cat(decoded)
    measured["base_vae"] = pixel_measurements(to_uint8(decoded), to_uint8(small), metrics, device)
    enlarged = to_uint8(upsample(decoded, scale))
    measured["base_vae_enlarged"] = [
        *pixel_measurements(enlarged, heldout, metrics, device),
        *Judge(work, "heldout", metrics)(enlarged, "r"),
        *scene_measurements(enlarged, labels, metrics),
    ]
    judge = Judge(work, "fresh", metrics)
    for row, split in (("real_heldout", "heldout"), ("real_train", "train")):
        real = np.load(work.inputs["references"] / f"{split}.npz")
        count = len(judge.stored["labels"])
        features = [real[array_name(i)][:count] for i in range(len(judge.judges))]
        measured[row] = judge.of_features(features, "g")
    measured["real_heldout"] += judge.of_classes(heldout)
    for split in ("heldout", "fresh"):
        images, labels = judged_crops(work, split, metrics)
        row = measured.setdefault(f"real_{split}", [])
        row += content_measurements(work, images, labels, metrics)
        row += scene_measurements(images, labels, metrics)
    write_measurements(work.folder, measured)


@torch.no_grad()
def make_reconstruction(work: Work, metrics: EvalConfig) -> None:
    """Held-out crops through the DA-VAE: with its detail, and with it zeroed, randomised (Fig. S2),
    and taken from another crop."""
    model = load_davae(work)
    heldout, labels = judged_crops(work, "heldout", metrics)
    base = torch.from_numpy(np.load(work.inputs["base_latents"] / "heldout.npy"))[: len(heldout)]
    detail = raw_detail(model, heldout, work.runtime)
    own_row = "davae" if model.config.detail_channels else "no_detail"
    decoded_details = {own_row: detail}
    measured: dict[str, list[Measurement]] = {own_row: []}
    if model.config.detail_channels:
        decoded_details |= {
            "davae_zeroed": torch.zeros_like(detail),
            "davae_random": random_detail(detail),
            "davae_exchanged": detail.roll(1, 0),
        }
        measured[own_row] += detail_measurements(detail, base, work)
    judge = Judge(work, "heldout", metrics)
    shown, kept = first_of_each(labels, SHOWN), {}
    for row, row_detail in decoded_details.items():
        images = decode_all(model, join(base, row_detail), work.runtime)
        pixels = pixel_measurements(images, heldout, metrics, work.runtime.device)
        facts = scene_measurements(images, labels, metrics)
        measured[row] = measured.get(row, []) + pixels + judge(images, "r") + facts
        kept[row] = images[shown]
    measured[own_row] += dependence(measured)
    write_measurements(work.folder, measured)
    np.savez_compressed(work.folder / "shown.npz", original=heldout[shown], **kept)


def dependence(measured: dict[str, list[Measurement]]) -> list[Measurement]:
    """PSNR and rFD with the detail zeroed, randomised and exchanged between crops, and what the
    real one is better by (Fig. S2)."""
    by_name = {
        row: {m.metric: m for m in reversed(measurements)} for row, measurements in measured.items()
    }
    differences = []
    for other in ("zeroed", "random", "exchanged"):
        row = by_name.get(f"davae_{other}", {})
        if "psnr_db" in row:
            differences += compared(
                by_name["davae"]["psnr_db"],
                row["psnr_db"],
                f"psnr_{other}_db",
                f"psnr_over_{other}_db",
            )
        if "rfd_effnet" in row:
            names = (f"rfd_{other}_effnet", f"rfd_{other}_excess")
            rfd = compared(by_name["davae"]["rfd_effnet"], row["rfd_effnet"], *names)
            differences += [rfd[0], replace(rfd[1], value=-rfd[1].value, higher_is_better=None)]
    return differences


def compared(own: Measurement, other: Measurement, name: str, difference: str) -> list[Measurement]:
    """The other measurement under `name`, and own - other, which has no interval, under
    `difference`."""
    apart = replace(own, metric=difference, value=own.value - other.value, low=None, high=None)
    return [replace(other, metric=name), apart]


def random_detail(detail: torch.Tensor) -> torch.Tensor:
    """Normal noise with each channel's mean and deviation over the set."""
    mean, std = detail.mean((0, 2, 3), keepdim=True), detail.std((0, 2, 3), keepdim=True)
    return mean + std * keyed.normal(
        0, "reconstruction/random", 0, range(len(detail)), detail.shape[1:]
    )


def decode_all(model: DAVAE, latents: torch.Tensor, runtime: Runtime) -> np.ndarray:
    """uint8 images of raw latents [N, C + D, h, w]."""
    parts = (latents[i : i + BATCH].to(runtime.device) for i in range(0, len(latents), BATCH))
    with runtime.autocast():
        return np.concatenate([to_uint8(model.decode_raw(part)) for part in parts])


def detail_measurements(detail: torch.Tensor, base: torch.Tensor, work: Work) -> list[Measurement]:
    """How much of the raw detail alignment does not act on, and how much of z it leaves
    unexplained."""
    train = torch.from_numpy(
        np.load(work.inputs["base_latents"] / "train.npy", mmap_mode="c")[:VARIANCE_SAMPLES]
    )
    share = float(
        channel_variance(orthogonal(detail, base.shape[1])).sum() / channel_variance(detail).sum()
    )
    align = float(alignment_loss(detail, base, channel_variance(train)))
    protocol = "posterior modes of held-out crops"
    return [
        Measurement(
            "orthogonal_share", share, len(detail), higher_is_better=True, protocol=protocol
        ),
        Measurement(
            "align_unexplained", align, len(detail), higher_is_better=False, protocol=protocol
        ),
    ]


def first_of_each(labels: np.ndarray, count: int) -> np.ndarray:
    """Indices of the first `count` samples of every class, class by class in turn."""
    by_class = [np.flatnonzero(labels == label)[:count] for label in range(int(labels.max()) + 1)]
    return np.stack(by_class, 1).ravel()


def make_generation(work: Work, metrics: EvalConfig, arm: str) -> None:
    """The samples against fresh crops of the training regions."""
    images, labels = (
        np.load(work.inputs["samples"] / f"{name}.npy") for name in ("images", "labels")
    )
    measured = Judge(work, "fresh", metrics)(images, "g")
    measured += content_measurements(work, images, labels, metrics)
    measured += scene_measurements(images, labels, metrics)
    write_measurements(work.folder, {arm: measured})
    np.savez_compressed(work.folder / "shown.npz", samples=images[first_of_each(labels, SHOWN)])


def latent_patches(latents: np.ndarray) -> np.ndarray:
    """[N, c, h, w] -> [N h w / 4, 4 c]: the channels of 2 x 2 neighbouring positions."""
    n, c, h, w = latents.shape
    parts = latents.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 2, 4, 1, 3, 5)
    return parts.reshape(-1, 4 * c)


def latent_distances(latents: np.ndarray, real: np.ndarray, channels: int) -> list[Measurement]:
    """Frechet distances of normalised latents [N, C + D, h, w], or of their first C = `channels`,
    to real ones, by channel group. They do not see any decoder."""
    groups = {"base": slice(0, channels), "detail": slice(channels, None)}
    measured = []
    for name, group in groups.items():
        own, other = latents[:, group], real[:, group]
        if not own.shape[1] or not other.shape[1]:
            continue
        distance = frechet_of_moments(*(Moments.of(latent_patches(v)) for v in (own, other)))
        protocol = f"2x2 positions of {own.shape[1]} channels; {len(other)} fresh crops"
        measured.append(
            Measurement(
                f"latent_fd_{name}", distance, len(own), higher_is_better=False, protocol=protocol
            )
        )
    return measured


def make_latent_distance(work: Work, arm: str) -> None:
    """Sampled latents against those of fresh crops; beside a DA-VAE's, those of held-out crops."""
    roles = [role for role in ("base_latents", "detail_latents") if role in work.inputs]
    real = joined_latents(work, "fresh", *roles)[:].numpy()
    channels = load_vae(work).config.latent_channels
    sampled = np.load(work.inputs["sampled"] / LATENTS)
    measured = {arm: latent_distances(sampled, real, channels)}
    if len(roles) > 1:
        held = joined_latents(work, "heldout", *roles)[:].numpy()
        measured["real_heldout"] = latent_distances(held, real, channels)
    write_measurements(work.folder, measured)
