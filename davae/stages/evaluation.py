"""The stages that sample and measure. Each measurement writes `metrics.json`, a list of values."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from tqdm import tqdm

from davae import keyed
from davae.alignment import alignment_loss, orthogonal
from davae.config import EvalConfig, SampleConfig
from davae.data.crops import to_uint8, upsample
from davae.features import effnet
from davae.metrics import content, distribution, perceptual, reconstruction
from davae.metrics.protocol import Protocol
from davae.models.base_vae import denormalise
from davae.models.davae import DAVAE
from davae.models.dit import DiT
from davae.runtime import Runtime
from davae.sample import sample_latents
from davae.stages.stage import Work
from davae.stages.training import MODEL, base_images, crops, load_davae, load_vae, raw_detail
from davae.store import write_json
from davae.train.davae import VARIANCE_SAMPLES

METRICS = "metrics.json"
SHOWN = 4
"""Images a class kept for the grids."""
NEAREST = 20_480
"""Training crops among which the nearest to a sample is sought, the first ones."""
BATCH = 20
"""Latents decoded at once."""


@dataclass(frozen=True)
class Value:
    """One measured value of one row of the run's table."""

    arm: str
    metric: str
    value: float
    n_samples: int
    higher_is_better: bool | None
    """None for what is neither good nor bad, as a count."""
    protocol: str


def read_values(folder: Path) -> list[Value]:
    """The values that a measuring stage wrote."""
    return [Value(**row) for row in json.loads((folder / METRICS).read_text())]


def write_values(folder: Path, values: list[Value]) -> None:
    """Write `metrics.json`."""
    write_json(folder / METRICS, [asdict(value) for value in values])


def images_hash(images: np.ndarray) -> str:
    """First 12 digits of the SHA-256 of the pixels."""
    return hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()[:12]


def extract(images: np.ndarray, metrics: EvalConfig, device: str) -> np.ndarray:
    """Features of uint8 images for the distances."""
    return effnet.effnet_features(images, metrics.input_px, metrics.blocks, device)


def probe_features(images: np.ndarray, metrics: EvalConfig, device: str) -> np.ndarray:
    """Features of uint8 images for the linear probe."""
    return effnet.effnet_features(images, metrics.probe_px, metrics.probe_blocks, device)


def make_references(work: Work, metrics: EvalConfig) -> None:
    """Features of real crops: the held-out and fresh ones, and twice as many training crops."""
    count = len(crops(work.inputs["crops"], "fresh")[0])
    for split, first in (("heldout", count), ("fresh", count), ("train", 2 * count)):
        images, labels = (part[:first] for part in crops(work.inputs["crops"], split))
        extracted: dict[str, Any] = {
            "features": extract(images, metrics, work.runtime.device),
            "probe_features": probe_features(images, metrics, work.runtime.device),
        }
        np.savez(work.folder / f"{split}.npz", **extracted, labels=labels, hash=images_hash(images))


class Judge:
    """The distances of image sets to one reference set of real crops, under one protocol."""

    def __init__(self, work: Work, reference: str, metrics: EvalConfig):
        self.metrics, self.device = metrics, work.runtime.device
        stored = np.load(work.inputs["references"] / f"{reference}.npz")
        self.reference = stored["features"]
        self.protocol = Protocol(
            extractor=effnet.effnet_name(metrics.blocks), weights=effnet.weights_hash(),
            dimensions=self.reference.shape[1], resize=f"{effnet.RESIZERS['pil'][0]} {metrics.input_px} px",
            quantisation="uint8, rounded", ddof=1, reference=f"{reference} {stored['hash']}",
            samples=len(self.reference),
        ).label()  # fmt: skip

    def distances(self, arm: str, features: np.ndarray, prefix: str) -> list[Value]:
        """`{prefix}kd_effnet` and `{prefix}fd_effnet` of features against the reference.

        prefix: r of a reconstruction, whose features are paired with the reference's, or g of samples.
        """
        kd = distribution.kernel(features, self.reference, paired=prefix == "r")
        fd = distribution.frechet(features, self.reference)
        if fd.note:
            raise ValueError(f"{prefix}fd_effnet of {arm}: {fd.note}; raise data.eval_crops or lower eval.blocks")
        pairs = ((f"{prefix}kd_effnet", kd), (f"{prefix}fd_effnet", fd))
        return [Value(arm, name, found.value, len(features), False, self.protocol) for name, found in pairs]


def pixel_values(arm: str, images: np.ndarray, originals: np.ndarray) -> list[Value]:
    """PSNR, SSIM and pd_effnet of uint8 images: the mean over images of the value of each."""
    protocol = f"uint8, rounded; held-out crops {images_hash(originals)}"
    judged = f"{protocol}; effnet_lite0 {effnet.weights_hash()}"
    found = (
        ("psnr_db", reconstruction.psnr, True, protocol),
        ("ssim", reconstruction.ssim, True, protocol),
        ("pd_effnet", perceptual.pd_effnet, False, judged),
    )
    return [Value(arm, n, float(f(images, originals).mean()), len(images), up, known) for n, f, up, known in found]


def quality_values(work: Work, arm: str, images: np.ndarray, labels: np.ndarray, metrics: EvalConfig) -> list[Value]:
    """A linear probe's accuracy, and the distance to the nearest training crop."""
    real = np.load(work.inputs["references"] / "train.npz")
    training = crops(work.inputs["crops"], "train")[0][:NEAREST]
    near = float(np.median(content.nearest_distance(images, training)))
    nearest = f"median, 0..255; {len(training)} training crops {real['hash']}"
    values = [Value(arm, "nearest_rms", near, len(images), True, nearest)]
    if len(set(real["labels"])) == 1:  # a single class leaves nothing to tell apart
        return values
    probe = content.linear_probe(real["probe_features"], real["labels"])
    features = probe_features(images, metrics, work.runtime.device)
    known = f"logistic regression on {features.shape[1]} features at {metrics.probe_px} px of "
    known += f"{len(real['labels'])} training crops {real['hash']}; weights {effnet.weights_hash()}"
    return [*values, Value(arm, "probe_accuracy", float(probe.score(features, labels)), len(images), True, known)]


@torch.no_grad()
def make_baselines(work: Work, metrics: EvalConfig, scale: int, antialias: bool) -> None:
    """Rows without a DA-VAE: bicubic, the base VAE at its own resolution, and real crops."""
    heldout, labels = crops(work.inputs["crops"], "heldout")
    small = base_images(heldout, scale, antialias)
    bicubic = to_uint8(upsample(small, scale))
    values = pixel_values("bicubic", bicubic, heldout)
    values += Judge(work, "heldout", metrics).distances("bicubic", extract(bicubic, metrics, work.runtime.device), "r")
    vae = load_vae(work)
    latents = torch.from_numpy(np.load(work.inputs["base_latents"] / "heldout.npy"))
    with work.runtime.autocast():
        parts = (latents[i : i + BATCH].to(work.runtime.device) for i in range(0, len(latents), BATCH))
        decoded = [vae.decode(part).sample for part in parts]
    values += pixel_values("base_vae", to_uint8(torch.cat(decoded)), to_uint8(small))
    real = np.load(work.inputs["references"] / "heldout.npz")["features"]
    values += Judge(work, "fresh", metrics).distances("real_heldout", real, "g")
    for split in ("heldout", "fresh"):
        images, labels = crops(work.inputs["crops"], split)
        values += quality_values(work, f"real_{split}", images, labels, metrics)
    write_values(work.folder, values)


@torch.no_grad()
def make_reconstruction(work: Work, metrics: EvalConfig) -> None:
    """Held-out crops through the DA-VAE: with its detail, and with it zeroed and randomised (Fig. S2)."""
    model = load_davae(work)
    heldout, labels = crops(work.inputs["crops"], "heldout")
    base = torch.from_numpy(np.load(work.inputs["base_latents"] / "heldout.npy"))
    detail = raw_detail(model, heldout, work.runtime)
    rows = {"davae" if model.config.detail_channels else "no_detail": detail}
    values: list[Value] = []
    if model.config.detail_channels:
        rows |= {"davae_zeroed": torch.zeros_like(detail), "davae_random": random_detail(detail)}
        values += detail_values(detail, base, work)
    judge = Judge(work, "heldout", metrics)
    shown, kept = first_of_each(labels, SHOWN), {}
    for name, given in rows.items():
        images = decode_all(model, torch.cat([base, given], 1), work.runtime)
        values += pixel_values(name, images, heldout)
        values += judge.distances(name, extract(images, metrics, work.runtime.device), "r")
        kept[name] = images[shown]
    write_values(work.folder, values + dependence(values))
    np.savez_compressed(work.folder / "shown.npz", original=heldout[shown], **kept)


def dependence(values: list[Value]) -> list[Value]:
    """PSNR and rFD with the detail zeroed and randomised, and what the real one is better by (Fig. S2)."""
    found = {(v.arm, v.metric): v for v in values}
    made = []
    for other in ("zeroed", "random"):
        if (f"davae_{other}", "psnr_db") not in found:
            continue
        psnr, rfd = found["davae", "psnr_db"], found["davae", "rfd_effnet"]
        without, far = (found[f"davae_{other}", metric].value for metric in ("psnr_db", "rfd_effnet"))
        made.append(replace(psnr, metric=f"psnr_{other}_db", value=without))
        made.append(replace(psnr, metric=f"psnr_over_{other}_db", value=psnr.value - without))
        made.append(replace(rfd, metric=f"rfd_{other}_effnet", value=far))
        made.append(replace(rfd, metric=f"rfd_{other}_excess", value=far - rfd.value, higher_is_better=None))
    return made


def random_detail(detail: torch.Tensor) -> torch.Tensor:
    """Normal noise with each channel's mean and deviation over the set."""
    mean, std = detail.mean((0, 2, 3), keepdim=True), detail.std((0, 2, 3), keepdim=True)
    return mean + std * keyed.normal(0, "reconstruction/random", 0, range(len(detail)), detail.shape[1:])


def decode_all(model: DAVAE, latents: torch.Tensor, runtime: Runtime) -> np.ndarray:
    """uint8 images of raw latents [N, C + D, h, w]."""
    parts = (latents[i : i + BATCH].to(runtime.device) for i in range(0, len(latents), BATCH))
    with runtime.autocast():
        return np.concatenate([to_uint8(model.decode_raw(part)) for part in parts])


def detail_values(detail: torch.Tensor, base: torch.Tensor, work: Work) -> list[Value]:
    """How much of the raw detail alignment does not act on, and how much of z it leaves unexplained."""
    train = torch.from_numpy(np.load(work.inputs["base_latents"] / "train.npy", mmap_mode="c")[:VARIANCE_SAMPLES])
    rest = orthogonal(detail, base.shape[1])
    share = float(rest.transpose(0, 1).flatten(1).var(1).sum() / detail.transpose(0, 1).flatten(1).var(1).sum())
    align = float(alignment_loss(detail, base, train.transpose(0, 1).flatten(1).var(1)))
    known = "posterior modes of held-out crops"
    return [
        Value("davae", "orthogonal_share", share, len(detail), True, known),
        Value("davae", "align_unexplained", align, len(detail), False, known),
    ]


def first_of_each(labels: np.ndarray, count: int) -> np.ndarray:
    """Indices of the first `count` samples of every class, class by class in turn."""
    by_class = [np.flatnonzero(labels == label)[:count] for label in range(int(labels.max()) + 1)]
    return np.stack(by_class, 1).ravel()


@torch.no_grad()
def make_samples(work: Work, sample: SampleConfig, count: int, scale: int, seed: int, zero_detail: bool) -> None:
    """`count` images, classes in turn, from the DiT; enlarged bicubically where there is no DA-VAE.

    zero_detail: decode with the detail zeroed, as an unadapted widened model needs: it predicts
    no detail velocity, so that integration leaves noise there.
    """
    dit = DiT.from_pretrained(work.inputs["dit"] / MODEL).to(work.runtime.device).eval()
    dit.velocity = work.runtime.compiled(dit.velocity, sampling=True)
    vae = load_vae(work)
    davae = load_davae(work) if "davae" in work.inputs else None
    labels = torch.arange(count) % dit.config.num_classes
    shape = (dit.config.in_channels, dit.config.input_size, dit.config.input_size)
    images = []
    for start in tqdm(range(0, count, sample.batch_size), desc="sampling", unit="batch"):
        indices = list(range(start, min(start + sample.batch_size, count)))
        noise = keyed.normal(seed, "sample/noise", 0, indices, shape).to(work.runtime.device)
        with work.runtime.autocast():
            latent = sample_latents(dit, noise, labels[indices].to(work.runtime.device), sample)
            images.append(decode(denormalise(latent, vae.config), vae, davae, scale, zero_detail))
    np.save(work.folder / "images.npy", np.concatenate(images))
    np.save(work.folder / "labels.npy", labels.numpy())


def decode(latent: torch.Tensor, vae: AutoencoderKL, davae: DAVAE | None, scale: int, zero: bool) -> np.ndarray:
    """uint8 images of unscaled latents."""
    if davae is None:
        return to_uint8(upsample(vae.decode(latent).sample, scale))
    return to_uint8(davae.decode(davae.zero_detail(latent) if zero else latent, return_dict=False)[0])


def make_generation(work: Work, metrics: EvalConfig, arm: str) -> None:
    """The samples against fresh crops of the training regions."""
    images, labels = (np.load(work.inputs["samples"] / f"{name}.npy") for name in ("images", "labels"))
    features = extract(images, metrics, work.runtime.device)
    values = Judge(work, "fresh", metrics).distances(arm, features, "g")
    values += quality_values(work, arm, images, labels, metrics)
    write_values(work.folder, values)
    np.savez_compressed(work.folder / "shown.npz", samples=images[first_of_each(labels, SHOWN)])
