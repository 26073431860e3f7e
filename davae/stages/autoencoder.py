"""The stages that train autoencoders and encode with them."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import torch
from diffusers import AutoencoderKL
from tqdm import tqdm

from davae.core.experiment import BaseVAEConfig, DetailConfig
from davae.core.ranks import ranks
from davae.core.runtime import Runtime
from davae.data.mapped import give_back
from davae.data.pixels import UnitImages, to_unit
from davae.data.shards import Shards, write_shards
from davae.method.alignment import group_sizes
from davae.models.base_vae import build_base_vae, encode_mode
from davae.models.convolution import contiguous_weight_gradients
from davae.models.davae import DAVAE, DAVAEConfig
from davae.models.families.registry import FAMILIES
from davae.stages.artifacts import (
    MODEL,
    SPLITS,
    crops,
    latents,
    load_davae,
    load_vae,
    save_model,
    seeded,
)
from davae.stages.data import base_images
from davae.stages.stage import Work, together
from davae.train.base_vae import base_vae_task, latent_statistics
from davae.train.davae import davae_task, detail_statistics
from davae.train.generation import GenerationAlignment
from davae.train.loop import Trainer

STATISTICS_SAMPLES = 10_000
ENCODED_BASE, ENCODED = 256, 32
"""Images a batch of the base and of the detail encoder, unless the runtime asks for fewer."""
DETAIL_MODES = "detail_modes.npy"
"""Raw modes of the first training crops, kept beside a DA-VAE that is not shipped."""


@together
def make_base_vae(
    work: Work, base_vae: BaseVAEConfig, scale: int, antialias: bool, seed: int
) -> None:
    """Train (or load) the base VAE and set its shift and scaling factors from its latents."""
    train, heldout = (crops(work.inputs["crops"], split)[0] for split in ("train", "heldout"))
    seeded(seed, "base_vae")
    vae = build_base_vae(base_vae).to(work.runtime.device, memory_format=work.runtime.layout())
    if work.runtime.weight_gradient == "contiguous":
        contiguous_weight_gradients(vae)
    if not base_vae.pretrained:
        images = base_images(train, scale, antialias)
        vae = trained(work, vae, images, base_images(heldout, scale, antialias), base_vae, seed)
    if not ranks().main:
        return
    save_model(vae, work.folder / MODEL, rounded=base_vae.train.round_weights)


def trained(
    work: Work,
    vae: AutoencoderKL,
    images: torch.Tensor | UnitImages,
    heldout: torch.Tensor | UnitImages,
    config: BaseVAEConfig,
    seed: int,
) -> AutoencoderKL:
    """The VAE after its training, its shift and scaling factors those of its latents."""
    task = base_vae_task(vae, images, heldout, config, seed)
    vae = Trainer(task, config.train, work.runtime, work.folder).run()
    shift, scaling = latent_statistics(encode_all(vae, images, work.runtime, STATISTICS_SAMPLES))
    vae.register_to_config(shift_factor=shift, scaling_factor=scaling)
    return vae


@together
def make_native_vae(work: Work, base_vae: BaseVAEConfig, seed: int) -> None:
    """The base VAE trained on at the full resolution, with factors of the latents there."""
    train, heldout = (UnitImages(crops(work.inputs["crops"], s)[0]) for s in ("train", "heldout"))
    vae = load_vae(work).train().requires_grad_(True)
    if work.runtime.weight_gradient == "contiguous":
        contiguous_weight_gradients(vae)
    vae = trained(work, vae, train, heldout, base_vae, seed)
    if ranks().main:
        save_model(vae, work.folder / MODEL, rounded=base_vae.train.round_weights)


def encode_all(
    vae: AutoencoderKL, images: torch.Tensor | UnitImages, runtime: Runtime, most: int | None = None
) -> torch.Tensor:
    """Unscaled posterior modes of all images, or of the first `most`, float32 on the CPU."""
    batch, count = runtime.images_at_once or ENCODED_BASE, min(len(images), most or len(images))
    starts = range(0, count, batch)
    parts = (images[i : min(i + batch, count)].to(runtime.device) for i in starts)
    with runtime.autocast():
        return torch.cat([encode_mode(vae, part).float().cpu() for part in parts])


@together
def make_base_latents(work: Work, scale: int, antialias: bool, clamp_base: bool = False) -> None:
    """The unscaled base latent of every crop, encoded once, as `DAVAE.encode_base` gives it."""
    vae = load_vae(work)
    batch = work.runtime.images_at_once or ENCODED_BASE
    for split in SPLITS:
        images = crops(work.inputs["crops"], split)[0]

        def encoded(part: range, images: np.ndarray = images) -> torch.Tensor:
            small = images[part.start : part.stop]
            return encode_all(
                vae, base_images(small, scale, antialias, clamp=clamp_base), work.runtime
            )

        said = f"base latents ({split})"
        write_shards(work.folder / split, len(images), batch, encoded, said)


@together
def make_davae(work: Work, davae: DetailConfig, scale: int, antialias: bool, seed: int) -> None:
    """Train the detail branch and decoder; measure the detail's statistics into the model."""
    vae = load_vae(work)
    config = DAVAEConfig.of_experiment(vae, davae, scale, antialias)
    seeded(seed, "davae")
    model = DAVAE(**asdict(config))
    model.load_base(vae, davae.init_from_base)
    if "start" in work.inputs:
        started = DAVAE.from_pretrained(work.inputs["start"] / MODEL)
        left = model.load_matching(started, davae.fresh_detail)
        if ranks().main:
            (work.folder / "start.txt").write_text("".join(f"not taken over: {k}\n" for k in left))
    if davae.freeze_encoder and davae.detail_channels:
        model.detail_encoder.requires_grad_(False)
    model = model.to(work.runtime.device, memory_format=work.runtime.layout())
    if work.runtime.weight_gradient == "contiguous":
        contiguous_weight_gradients(model)
    if work.runtime.checkpoint_activations:
        model.enable_gradient_checkpointing()
    train, heldout = (crops(work.inputs["crops"], split)[0] for split in ("train", "heldout"))
    base, held_base = (latents(work, "base_latents", s) for s in ("train", "heldout"))
    generation = None
    if "base_dit" in work.inputs:  # what the alignment reads
        dit = FAMILIES["lightning"].load(work.inputs["base_dit"] / MODEL)
        seeded(seed, "davae/generation")
        generation = GenerationAlignment(dit, vae, davae.detail_channels, scale)
        generation = generation.to(work.runtime.device)
    part = work.runtime.micro_batch or davae.train.batch_size  # what fits beside the optimizer
    task = davae_task(model, train, base, (heldout, held_base), davae, seed, generation, part)
    model = Trainer(task, davae.train, work.runtime, work.folder).run()["davae"]
    if not ranks().main:
        return
    if davae.detail_channels:
        first = crops(work.inputs["crops"], "train", davae.statistics_crops)[0]
        modes = raw_detail(model, first, work.runtime, part)
        model.set_detail_statistics(*detail_statistics(modes))
        if not davae.train.round_weights:
            np.save(work.folder / DETAIL_MODES, modes.numpy())
    save_model(model, work.folder / MODEL, rounded=davae.train.round_weights)


def raw_detail(
    model: DAVAE, images: np.ndarray, runtime: Runtime, at_once: int = ENCODED
) -> torch.Tensor:
    """The posterior mode of the detail before normalisation, of uint8 images: float32 [N, D, h, w]
    on the CPU; at_once: those that are encoded together, where the runtime says nothing else."""
    batch = runtime.images_at_once or at_once
    modes = torch.empty(len(images), *model.detail_shape(images.shape[2:]))  # not piece by piece
    # between the batches, whose memory would then lie in holes too small for the next
    with (
        torch.no_grad(),
        runtime.autocast(),
        tqdm(
            total=len(images), desc="detail latents", unit="img", delay=2, leave=False
        ) as progress,
    ):
        for start in range(0, len(images), batch):
            part = to_unit(images[start : start + batch]).to(runtime.device)
            modes[start : start + batch] = model.detail_moments(part)[0]
            give_back(images)
            progress.update(len(part))
    return modes


def make_repeated_latents(
    work: Work, detail_channels: int, train_crops: int = 0, check_crops: int = 0
) -> None:
    """z repeated to `detail_channels` in the place of the detail, so that each group of consecutive
    channels holds one of z's; of as many crops as `make_detail_latents` has the detail of."""
    for split in SPLITS:
        base = latents(work, "base_latents", split)
        stored = (train_crops if split == "train" else check_crops) or len(base)
        repeats = torch.tensor(group_sizes(detail_channels, base.shape[1]))

        def repeated(
            part: range, base: Shards = base, repeats: torch.Tensor = repeats
        ) -> torch.Tensor:
            return base[part.start : part.stop].repeat_interleave(repeats, 1)

        said = f"repeated latents ({split})"
        write_shards(work.folder / split, min(stored, len(base)), ENCODED_BASE, repeated, said)


@together
def make_detail_latents(work: Work, train_crops: int = 0, check_crops: int = 0) -> None:
    """The normalised detail mode of every crop, or of the first `train_crops` of training and
    `check_crops` of the others, encoded once.

    Those that the DA-VAE's own statistics were taken over are in its artifact already.
    """
    model = load_davae(work)
    mean, std = (b.cpu()[:, None, None] for b in (model.detail_mean, model.detail_std))
    batch = work.runtime.images_at_once or ENCODED
    for split in SPLITS:
        count = train_crops if split == "train" else check_crops
        images = crops(work.inputs["crops"], split, count)[0]
        stored_modes = torch.empty(0, *model.detail_shape(images.shape[2:]))
        kept = work.inputs["davae"] / DETAIL_MODES
        if split == "train" and kept.exists():  # artifacts of before 2026-11-23 lack it
            stored_modes = torch.from_numpy(np.load(kept))[: len(images)]

        def normalised(part: range, images: np.ndarray = images) -> torch.Tensor:
            modes = raw_detail(model, images[part.start : part.stop], work.runtime)
            return (modes - mean) / std

        ready, said = (stored_modes - mean) / std, f"detail latents ({split})"
        write_shards(work.folder / split, len(images), batch, normalised, said, ready)
