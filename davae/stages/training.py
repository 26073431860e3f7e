"""The stages that make data, latents and networks."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.utils import logging as diffusers_logging
from numpy.lib.format import open_memmap
from tqdm import tqdm

from davae import keyed
from davae.config import AdaptConfig, BaseDiTConfig, BaseVAEConfig, DataConfig, DetailConfig, FlowConfig
from davae.data.crops import downsample, draw_images, to_unit
from davae.measure.flops import count_flops
from davae.models.base_vae import build_base_vae, encode_mode, normalise
from davae.models.davae import DAVAE, DAVAEConfig
from davae.models.dit import DiT, DiTConfig, widen_dit
from davae.runtime import Runtime
from davae.stages.stage import Work
from davae.store import write_json
from davae.train.base_vae import base_vae_task, latent_statistics
from davae.train.davae import davae_task, detail_statistics
from davae.train.dit import LatentSet, dit_task
from davae.train.loop import SUMMARY, Trainer

diffusers_logging.set_verbosity_error()  # its advice to install accelerate is not for small models

SPLITS = ("train", "heldout", "fresh")
CHECKS = 650
"""Samples of a held-out set whose flow loss is logged."""
EVAL_PER_CLASS = 4
"""Evaluation crops a class that the grids need."""
STATISTICS_SAMPLES = 10_000
PART = 25_600
"""Images whose latents are in memory at once; a multiple of the encoders' batches."""
ENCODED = 32
"""Images a batch of the detail encoder."""
DETAIL_MODES = "detail_modes.npy"
"""Raw modes of the first training crops, kept beside the DA-VAE."""
MODEL = "model"


def make_crops(work: Work, data: DataConfig, seed: int) -> None:
    """uint8 crops and labels of the three splits, and the class names."""
    for split, count in (("heldout", data.eval_crops), ("fresh", data.eval_crops), ("train", data.train_crops)):
        shape = (count, 3, data.resolution_px, data.resolution_px)
        file = open_memmap(work.folder / f"{split}_images.npy", "w+", np.uint8, shape)
        _, labels, classes = draw_images(data, seed, split, count, out=file)  # type: ignore[arg-type]
        file.flush()
        if data.eval_crops < EVAL_PER_CLASS * len(classes):
            least = EVAL_PER_CLASS * len(classes)
            raise ValueError(f"data.eval_crops is {data.eval_crops}; {len(classes)} classes need {least} or more")
        np.save(work.folder / f"{split}_labels.npy", labels)
    write_json(work.folder / "classes.json", classes)


def crops(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """uint8 images [N, 3, H, W], read from the file as they are used, and labels [N] of a split."""
    return np.load(folder / f"{split}_images.npy", mmap_mode="c"), np.load(folder / f"{split}_labels.npy")


def class_names(folder: Path) -> list[str]:
    """The class names of a crops artifact."""
    return json.loads((folder / "classes.json").read_text())


def base_images(images: np.ndarray, scale: int, antialias: bool, batch: int = 512) -> torch.Tensor:
    """Float base images in about [-1, 1] of uint8 high-resolution ones."""
    parts = [images[i : i + batch] for i in range(0, len(images), batch)]
    return torch.cat([downsample(to_unit(part), scale, antialias) for part in parts])


def seeded(seed: int, purpose: str) -> None:
    """Key torch's global generator for the construction of a network, which draws its weights."""
    torch.manual_seed(keyed.key(seed, f"{purpose}/init") >> 1)


def make_base_vae(work: Work, base_vae: BaseVAEConfig, scale: int, antialias: bool, seed: int) -> None:
    """Train (or load) the base VAE and set its shift and scaling factors from its latents."""
    train, heldout = (crops(work.inputs["crops"], split)[0] for split in ("train", "heldout"))
    seeded(seed, "base_vae")
    vae = build_base_vae(base_vae).to(work.runtime.device, memory_format=work.runtime.layout())
    if not base_vae.pretrained:
        images = base_images(train, scale, antialias)
        task = base_vae_task(vae, images, base_images(heldout, scale, antialias), base_vae, seed)
        Trainer(task, base_vae.train, work.runtime, work.folder).run()
        latents = encode_all(vae, images[:STATISTICS_SAMPLES], work.runtime)
        shift, scaling = latent_statistics(latents)
        vae.register_to_config(shift_factor=shift, scaling_factor=scaling)
    vae.save_pretrained(work.folder / MODEL)


def encode_all(vae: AutoencoderKL, images: torch.Tensor, runtime: Runtime, batch: int = 256) -> torch.Tensor:
    """Unscaled posterior modes of all images, float32 on the CPU."""
    parts = (images[i : i + batch].to(runtime.device) for i in range(0, len(images), batch))
    with runtime.autocast():
        return torch.cat([encode_mode(vae, part).float().cpu() for part in parts])


def load_vae(work: Work) -> AutoencoderKL:
    """The base VAE of the stage's input, for inference."""
    vae = AutoencoderKL.from_pretrained(work.inputs["base_vae"] / MODEL)
    return vae.to(work.runtime.device, memory_format=work.runtime.layout()).eval().requires_grad_(False)


def make_base_latents(work: Work, scale: int, antialias: bool) -> None:
    """The unscaled base latent of every crop, encoded once."""
    vae = load_vae(work)
    for split in SPLITS:
        images = crops(work.inputs["crops"], split)[0]
        encoded: np.ndarray | None = None
        for start in tqdm(range(0, len(images), PART), desc=f"base latents ({split})", unit="part", delay=2):
            part = encode_all(vae, base_images(images[start : start + PART], scale, antialias), work.runtime).numpy()
            if encoded is None:
                shape = (len(images), *part.shape[1:])
                encoded = open_memmap(work.folder / f"{split}.npy", "w+", np.float32, shape)
            encoded[start : start + PART] = part


class JoinedLatents:
    """Normalised latents [N, C + D, h, w] of several files, concatenated by channel as they are indexed."""

    def __init__(self, parts: list[np.ndarray], factors: Any):
        self.parts, self.factors = parts, factors
        count = min(len(part) for part in parts)
        self.shape = (count, sum(part.shape[1] for part in parts), *parts[0].shape[2:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> torch.Tensor:
        rows = slice(index.start, min(index.stop, len(self))) if isinstance(index, slice) else np.asarray(index)
        joined = torch.cat([torch.from_numpy(np.array(part[rows])) for part in self.parts], 1)
        return normalise(joined, self.factors)


def latent_set(work: Work, split: str, factors: Any, *roles: str) -> LatentSet:
    """Normalised latents of a split, the inputs named by `roles` concatenated by channel, as many as all have."""
    joined = JoinedLatents([np.load(work.inputs[role] / f"{split}.npy", mmap_mode="r") for role in roles], factors)
    labels = torch.from_numpy(np.load(work.inputs["crops"] / f"{split}_labels.npy"))[: len(joined)]
    return LatentSet(joined, labels)


def train_dit(
    work: Work, name: str, dit: DiT, config: Any, flow: FlowConfig, class_dropout: float, seed: int,
    roles: tuple[str, ...], adapt: AdaptConfig | None = None,
) -> None:  # fmt: skip
    """Train a DiT on the latents of `roles` and save it."""
    factors = load_vae(work).config
    sets = {split: latent_set(work, split, factors, *roles) for split in SPLITS}
    checks = {split: sets[split].first(CHECKS) for split in ("heldout", "fresh")}
    dit = dit.to(work.runtime.device)
    task = dit_task(name, dit, sets["train"], checks, flow, class_dropout, seed, adapt)
    dit.velocity = work.runtime.compiled(dit.velocity)
    Trainer(task, config, work.runtime, work.folder).run()
    dit.save_pretrained(work.folder / MODEL)


def check_fits(dit: DiT, latents: tuple[int, ...], classes: int, path: str) -> None:
    """Raise ValueError if a pretrained DiT does not take these latents or classes."""
    takes = (dit.config.in_channels, dit.config.input_size, dit.config.num_classes)
    needs = (latents[1], latents[2], classes)
    if takes != needs:
        names = "(in_channels, input_size, num_classes)"
        raise ValueError(f"the DiT at {path} has {names} {takes}; the base VAE and the data make {needs}")


def make_base_dit(work: Work, base_dit: BaseDiTConfig, flow: FlowConfig, seed: int) -> None:
    """Train (or load) the DiT on the base latents."""
    latents = np.load(work.inputs["base_latents"] / "train.npy", mmap_mode="r")
    if base_dit.pretrained:
        dit = DiT.from_pretrained(base_dit.pretrained)
        check_fits(dit, latents.shape, len(class_names(work.inputs["crops"])), base_dit.pretrained)
        dit.save_pretrained(work.folder / MODEL)
        return
    architecture = DiTConfig(
        in_channels=latents.shape[1], input_size=latents.shape[2], patch_size=base_dit.patch_size,
        hidden_size=base_dit.hidden_size, depth=base_dit.depth, num_heads=base_dit.num_heads,
        num_classes=len(class_names(work.inputs["crops"])), qk_norm=base_dit.qk_norm,
        class_dropout=base_dit.class_dropout,
    )  # fmt: skip
    seeded(seed, "base_dit")
    dit = DiT(**asdict(architecture))
    train_dit(work, "base DiT", dit, base_dit.train, flow, base_dit.class_dropout, seed, ("base_latents",))


def make_davae(work: Work, davae: DetailConfig, scale: int, antialias: bool, seed: int) -> None:
    """Train the detail branch and decoder; measure the detail's statistics into the model."""
    vae = load_vae(work)
    changes = {
        "scale": scale, "antialias": antialias, "detail_dropout": davae.detail_dropout, "clamp_base": davae.clamp_base,
    }  # fmt: skip
    config = DAVAEConfig.of_base(vae, davae.detail_channels, **changes)
    seeded(seed, "davae")
    model = DAVAE(**asdict(config))
    model.load_base(vae, davae.init_from_base)
    if davae.freeze_encoder and davae.detail_channels:
        model.detail_encoder.requires_grad_(False)
    model = model.to(work.runtime.device, memory_format=work.runtime.layout())
    train, heldout = (torch.from_numpy(crops(work.inputs["crops"], s)[0]) for s in ("train", "heldout"))
    latents, held_latents = (
        torch.from_numpy(np.load(work.inputs["base_latents"] / f"{s}.npy", mmap_mode="c")) for s in ("train", "heldout")
    )
    task = davae_task(model, train, latents, (heldout, held_latents), davae, seed)
    Trainer(task, davae.train, work.runtime, work.folder).run()
    if davae.detail_channels:
        modes = raw_detail(model, train[:STATISTICS_SAMPLES].numpy(), work.runtime)
        model.set_detail_statistics(*detail_statistics(modes))
        np.save(work.folder / DETAIL_MODES, modes.numpy())
    model.save_pretrained(work.folder / MODEL)


def load_davae(work: Work) -> DAVAE:
    """The DA-VAE of the stage's input, for inference."""
    model = DAVAE.from_pretrained(work.inputs["davae"] / MODEL)
    return model.to(work.runtime.device, memory_format=work.runtime.layout()).eval().requires_grad_(False)


def raw_detail(model: DAVAE, images: np.ndarray, runtime: Runtime) -> torch.Tensor:
    """The posterior mode of the detail before normalisation, of uint8 images: float32 [N, D, h, w] on the CPU."""
    modes = []
    with (
        torch.no_grad(),
        runtime.autocast(),
        tqdm(total=len(images), desc="detail latents", unit="img", delay=2, leave=False) as progress,
    ):
        for start in range(0, len(images), ENCODED):
            part = to_unit(images[start : start + ENCODED]).to(runtime.device)
            modes.append(model.detail_moments(part)[0].float().cpu())
            progress.update(len(part))
    return torch.cat([torch.empty(0, *model.detail_shape(images.shape[2:])), *modes])


def make_detail_latents(work: Work, train_crops: int = 0) -> None:
    """The normalised detail mode of every crop, or of the first `train_crops` of training, encoded once.

    Those that the DA-VAE's own statistics were taken over are in its artifact already.
    """
    model = load_davae(work)
    mean, std = (b.cpu()[:, None, None] for b in (model.detail_mean, model.detail_std))
    for split in SPLITS:
        images = crops(work.inputs["crops"], split)[0]
        known = torch.empty(0, *model.detail_shape(images.shape[2:]))
        if split == "train":
            images = images[: train_crops or None]
            if (work.inputs["davae"] / DETAIL_MODES).exists():  # artifacts of before 2026-11-23 lack it
                known = torch.from_numpy(np.load(work.inputs["davae"] / DETAIL_MODES))[: len(images)]
        file = open_memmap(work.folder / f"{split}.npy", "w+", np.float32, (len(images), *known.shape[1:]))
        file[: len(known)] = ((known - mean) / std).numpy()
        for start in range(len(known), len(images), PART):
            modes = raw_detail(model, images[start : start + PART], work.runtime)
            file[start : start + PART] = ((modes - mean) / std).numpy()


def make_adapted(work: Work, adapt: AdaptConfig, flow: FlowConfig, class_dropout: float, seed: int) -> None:
    """Widen the base DiT and fine-tune it on [base | detail] latents."""
    base = DiT.from_pretrained(work.inputs["base_dit"] / MODEL)
    channels = np.load(work.inputs["detail_latents"] / "train.npy", mmap_mode="r").shape[1]
    dit, report = widen_dit(base, channels, adapt.init, keyed.generator(seed, "adapt/init"))
    (work.folder / "widen.txt").write_text(str(report) + "\n")
    roles = ("base_latents", "detail_latents")
    train_dit(work, "adaptation", dit, adapt.train, flow, class_dropout, seed, roles, adapt)


def training_flops(dit: DiT, batch_size: int) -> int:
    """FLOPs of a training step, forward and backward."""
    size = dit.config.input_size
    x = torch.zeros(batch_size, dit.config.in_channels, size, size)
    t, y = torch.zeros(batch_size), torch.zeros(batch_size, dtype=torch.long)
    flops, _ = count_flops(lambda: dit(x, t, y).sum().backward())
    dit.zero_grad()
    return flops


def make_control(work: Work, adapt: AdaptConfig, flow: FlowConfig, class_dropout: float, seed: int) -> None:
    """Train the base DiT for as many more FLOPs as the adaptation took, with its optimizer settings.

    The steps follow from the FLOPs that both runs count: the adaptation's total over the base
    model's FLOPs a step.
    """
    adaptation = json.loads((work.inputs["adapted"] / SUMMARY).read_text())
    dit = DiT.from_pretrained(work.inputs["base_dit"] / MODEL)
    steps = round(adaptation["steps"] * adaptation["flops_step"] / training_flops(dit, adapt.train.batch_size))
    config = replace(adapt.train, steps=steps)
    train_dit(work, "control", dit, config, flow, class_dropout, seed, ("base_latents",))
