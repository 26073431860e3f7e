"""The stages that measure latents: class structure, t-SNE and spectra of a DA-VAE's (Fig. 3, S5),
and the distance of sampled ones to real ones."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from davae.core.data_config import DataConfig
from davae.core.records import Measurement, write_measurements
from davae.data.crops import draw_images, load_source
from davae.data.mapped import blocks
from davae.data.pixels import to_unit
from davae.data.source import Split
from davae.metrics import latents as space
from davae.metrics.distribution import Moments, frechet_of_moments
from davae.metrics.metric import LatentSample
from davae.metrics.registry import METRICS
from davae.metrics.spectrum import high_frequency_share, radial_spectrum
from davae.metrics.uniformity import embedding_density, uniformity
from davae.models.davae import DAVAE
from davae.stages.artifacts import (
    class_names,
    crops,
    images_hash,
    joined_latents,
    latents,
    load_davae,
    load_vae,
)
from davae.stages.autoencoder import raw_detail
from davae.stages.samples import LATENTS
from davae.stages.stage import Work

SPECTRUM_PX = 256
SPECTRUM_CROPS = 130
COMPANIONS = ("silhouette", "knn_purity", "latent_probe", "cka", "effective_rank")
"""Metrics of every space, all of them measured without the picture."""
EMBEDDED = {"variation": False, "gini": False, "entropy": True, "stability": True}
"""Metrics of the t-SNE picture, not of the space, and whether higher is better."""


def spaces(base: np.ndarray, detail: np.ndarray, copied: np.ndarray) -> dict[str, np.ndarray]:
    """z, z_d and what of z_d is no linear function of z at the same position, [N, channels, h, w]
    each.

    copied: the coefficients of `linear_copy`, of training crops."""
    return {"z": base, "z_d": detail, "z_d_residual": detail - apply_copy(base, copied)}


def linear_copy(base: np.ndarray, detail: np.ndarray) -> np.ndarray:
    """Coefficients [C + 1, D] of the least-squares regression of the channels of z_d on those of z
    and a constant, over samples and positions."""
    x, y = (space.by_channel(v).astype(np.float64) for v in (base, detail))
    return np.linalg.lstsq(np.hstack([x, np.ones((len(x), 1))]), y, rcond=None)[0]


def apply_copy(base: np.ndarray, copied: np.ndarray) -> np.ndarray:
    """What the regression says of z_d: [N, C, h, w] -> [N, D, h, w]."""
    predicted = np.einsum("nchw,cd->ndhw", base, copied[:-1]) + copied[-1][:, None, None]
    return predicted.astype(np.float32)


def make_structure(work: Work, metrics: tuple[str, ...] = (), count: int = 0) -> None:
    """The metrics of latents and a t-SNE of each space, on held-out crops; classifiers are fitted
    on training crops.

    metrics: entries of METRICS that need latents, beside those that are always measured. count:
    held-out crops, the first ones; 0: all.
    """
    model = load_davae(work)
    held, held_y = crops(work.inputs["crops"], "heldout", count)
    train, train_y = crops(work.inputs["crops"], "train", 2 * len(held))
    names = class_names(work.inputs["crops"])
    if len(names) < 2:
        raise ValueError(f"the structure of classes needs two or more; the data have {names}")
    pairs = [
        (
            latents(work, "base_latents", split)[: len(images)].numpy(),
            raw_detail(model, images, work.runtime).numpy(),
        )
        for split, images in (("train", train), ("heldout", held))
    ]
    copied = linear_copy(*pairs[0])
    by_split = [spaces(*pair, copied) for pair in pairs]
    z = space.scaled(by_split[0]["z"], by_split[1]["z"])[1]
    crop = f"held-out crops {images_hash(held)}"
    protocols = {"effective_rank": f"{crop}, covariance of channels over positions"}
    protocols |= dict.fromkeys(
        EMBEDDED, f"{crop}, t-SNE of scikit-learn, perplexity 30, PCA start, seed 0"
    )
    classified = (
        f"{crop}, channels standardised and classifiers fitted on {len(train)} training crops"
    )
    measured = []
    embeddings: dict[str, Any] = {}
    for name, of_train in by_split[0].items():
        sample = LatentSample(of_train, train_y, by_split[1][name], held_y, z)
        companions = [measure_latents(metric, sample) for metric in (*COMPANIONS, *metrics)]
        points = space.scaled(of_train, by_split[1][name])[1]
        embeddings[name] = space.tsne(points)
        figures = asdict(uniformity(embedding_density(embeddings[name])))
        figures["stability"] = space.stability(points, embeddings[name])
        for metric, value in figures.items():
            companions.append(
                Measurement(metric, value, len(held), higher_is_better=EMBEDDED[metric])
            )
        for m in companions:
            protocol = protocols.get(m.metric, classified)
            measured.append(replace(m, metric=f"{m.metric}_{name}", protocol=protocol))
    write_measurements(work.folder, {"davae": measured})
    np.savez_compressed(
        work.folder / "embeddings.npz", labels=held_y, classes=np.array(names), **embeddings
    )


def measure_latents(name: str, sample: LatentSample) -> Measurement:
    """A metric of latents, with its direction."""
    metric = METRICS[name]
    return replace(metric.compute(sample), higher_is_better=metric.higher_is_better)


def at_size(data: DataConfig, px: int) -> DataConfig:
    """The data set in crops of `px` at the photographs' own scale, or in drawings of that size."""
    if data.name == "scenes":
        return replace(data, resolution_px=px)
    return replace(data, resolution_px=px, min_crop_px=px, max_crop_px=px)


@torch.no_grad()
def latent_pair(model: DAVAE, images: np.ndarray, device: str) -> tuple[np.ndarray, np.ndarray]:
    """z and the mean of z_d of uint8 images, ten at a time."""
    base, detail = [], []
    for start in range(0, len(images), 10):
        batch = to_unit(images[start : start + 10]).to(device)
        base.append(model.encode_base(batch).cpu())
        detail.append(model.detail_moments(batch)[0].cpu())
    return torch.cat(base).numpy(), torch.cat(detail).numpy()


def make_spectrum(work: Work, data: DataConfig, seed: int, count: int = SPECTRUM_CROPS) -> None:
    """Radial power spectra of the spaces on `count` 256 px crops of the training regions, at the
    photographs' own scale; the regression of z_d on z is of as many other crops there."""
    model, large = load_davae(work), at_size(data, SPECTRUM_PX)
    splits: tuple[Split, ...] = ("train", "fresh")
    source = None if data.name == "scenes" else load_source(data)
    drawn = {s: draw_images(large, seed, s, count, source)[0] for s in splits}
    pairs = {s: latent_pair(model, images, work.runtime.device) for s, images in drawn.items()}
    shares = {}
    spectra: dict[str, Any] = {}
    for name, values in spaces(*pairs["fresh"], linear_copy(*pairs["train"])).items():
        spectra["frequency"], spectra[name] = radial_spectrum(values)
        shares[name] = high_frequency_share(spectra["frequency"], spectra[name])
    shares["excess"] = shares["z_d"] - shares["z"]
    protocol = (
        f"{SPECTRUM_PX} px crops of training regions; share of power above 1/4 cycle a position"
    )
    measured = [
        Measurement(f"high_frequency_{name}", share, count, protocol=protocol)
        for name, share in shares.items()
    ]
    write_measurements(work.folder, {"davae": measured})
    np.savez(work.folder / "spectra.npz", **spectra)


def latent_patches(latents: np.ndarray) -> np.ndarray:
    """[N, c, h, w] -> [N h w / 4, 4 c]: the channels of 2 x 2 neighbouring positions."""
    n, c, h, w = latents.shape
    parts = latents.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 2, 4, 1, 3, 5)
    return parts.reshape(-1, 4 * c)


PART = 1_024
"""Samples whose latents are in memory at once."""


def latent_distances(sampled: Any, real: Any, channels: int) -> list[Measurement]:
    """Frechet distances of normalised latents [N, C + D, h, w], or of their first C = `channels`,
    to real ones, by channel group; arrays, or what is indexed as one. They do not see any
    decoder."""
    widths = [latents[:1].shape[1] for latents in (sampled, real)]
    groups = {"base": slice(0, channels), "detail": slice(channels, None)}
    measured = []
    for name, group in groups.items():
        wide, other = (len(range(*group.indices(width))) for width in widths)
        if not wide or not other:
            continue
        distance = frechet_of_moments(*(patch_moments(v, group) for v in (sampled, real)))
        protocol = f"2x2 positions of {wide} channels; {len(real)} fresh crops"
        measured.append(
            Measurement(
                f"latent_fd_{name}", distance, len(sampled), higher_is_better=False,
                protocol=protocol,
            )
        )  # fmt: skip
    return measured


def patch_moments(latents: Any, group: slice) -> Moments:
    """Of the patches of some channels of latents."""
    parts = (np.asarray(part[:, group]) for (part,) in blocks(latents, size=PART))
    return Moments.of_parts(map(latent_patches, parts))


def make_latent_distance(work: Work, arm: str) -> None:
    """Sampled latents against those of fresh crops; beside a DA-VAE's, those of held-out crops."""
    roles = [role for role in ("base_latents", "detail_latents") if role in work.inputs]
    real = joined_latents(work, "fresh", *roles)
    channels = load_vae(work).config.latent_channels
    sampled = np.load(work.inputs["sampled"] / LATENTS, mmap_mode="c")
    measured = {arm: latent_distances(sampled, real, channels)}
    if len(roles) > 1:
        held = joined_latents(work, "heldout", *roles)
        measured["real_heldout"] = latent_distances(held, real, channels)
    write_measurements(work.folder, measured)
