"""The stages that sample: noise and conditions in, uint8 images out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file

from davae.core import keyed
from davae.core.experiment import BaseDiTConfig, SampleConfig
from davae.core.ranks import ranks
from davae.core.runtime import Runtime
from davae.data.pixels import to_uint8, upsample
from davae.method.sampler import Velocity, integrate, integrate_lagged
from davae.models.adapt import attach, load_adapters, lora_of
from davae.models.base_vae import denormalise
from davae.models.davae import DAVAE
from davae.models.families.registry import FAMILIES
from davae.stages.artifacts import MODEL, captions, crops, load_davae, load_vae, write_parts
from davae.stages.prompts import pretrained_pipeline
from davae.stages.stage import Work, together
from davae.stages.text import ADAPTERS
from davae.train.loop import snapshot_name

LATENTS = "latents.npy"
"""What a stage of sampled latents leaves beside the labels."""
IMAGES = "images.npy"
"""What a stage of samples leaves beside the labels: uint8 [N, 3, H, W]."""
LABELS = "labels.npy"
"""Classes [N]."""


def save_images(folder: Path, images: list[np.ndarray], labels: np.ndarray) -> None:
    """What every stage of samples leaves, of batches of images."""
    np.save(folder / IMAGES, np.concatenate(images))
    np.save(folder / LABELS, labels)


def sample_latents(
    velocity: Velocity, noise: torch.Tensor, sample: SampleConfig, base_channels: int = 0
) -> torch.Tensor:
    """Normalised latents from noise of their shape; base_channels, of a model whose detail lags."""
    if base_channels:
        return integrate_lagged(
            velocity, noise, sample.num_inference_steps, sample.timestep_shift, sample.detail_lag,
            base_channels,
        )  # fmt: skip
    return integrate(
        velocity, noise, sample.num_inference_steps, sample.timestep_shift, sample.solver
    )


@together
@torch.no_grad()
def make_sampled(
    work: Work,
    sample: SampleConfig,
    count: int,
    seed: int,
    family: str = "lightning",
    snapshot: int = 0,
) -> None:
    """latents.npy: `count` normalised latents from the network, [N, C or C + D, h, w], and
    labels.npy: their classes, in turn.

    snapshot: the step whose weights are taken; 0: the last."""
    base_model = FAMILIES[family]
    network = base_model.load(work.inputs["dit"] / MODEL)
    if snapshot:
        network.load_state_dict(load_file(work.inputs["dit"] / snapshot_name(snapshot)))
    network = network.to(work.runtime.device).eval()
    network.velocity = work.runtime.compiled(network.velocity, sampling=True)
    lagging = network.config.get("detail_time", False)
    base_channels = network.config.in_channels - network.config.detail_channels if lagging else 0
    labels = torch.arange(count) % network.config.num_classes
    shape = (network.config.in_channels, network.config.input_size, network.config.input_size)

    def drawn(part: range) -> np.ndarray:
        indices = list(part)
        noise = keyed.normal(seed, "sample/noise", 0, indices, shape).to(work.runtime.device)
        with work.runtime.autocast():
            velocity = base_model.guided(network, labels[indices].to(work.runtime.device), sample)
            latents = sample_latents(velocity, noise, sample, base_channels)
        return latents.float().cpu().numpy()

    batch = work.runtime.images_at_once or sample.batch_size
    write_parts(work.folder / LATENTS, count, batch, drawn, "sampling")
    if ranks().main:
        np.save(work.folder / LABELS, labels.numpy())


@together
@torch.no_grad()
def make_samples(work: Work, scale: int, batch: int, zero_detail: bool = False) -> None:
    """The images of sampled latents: by the DA-VAE, or by a decoder without detail, where one is
    among the inputs; otherwise by the base VAE and enlarged bicubically.

    They are decoded in float32 whatever the runtime's products are (Runtime.exact). A decoder
    without detail takes the base channels. zero_detail: decode with the detail zeroed, as an
    unadapted widened model needs: it predicts no detail velocity, so that integration leaves noise
    there.
    """
    vae = load_vae(work)
    davae = load_davae(work) if "davae" in work.inputs else None
    sampled = np.load(work.inputs["sampled"] / LATENTS, mmap_mode="r")
    channels = vae.config.latent_channels if davae is None else davae.config.latent_channels

    def decoded(part: range) -> np.ndarray:
        taken = torch.from_numpy(np.array(sampled[part.start : part.stop, :channels]))
        latent = denormalise(taken.to(work.runtime.device), vae.config)
        return decode(latent, vae, davae, scale, zero_detail)

    batch = work.runtime.images_at_once or batch
    write_parts(work.folder / IMAGES, len(sampled), batch, decoded, "decoding")
    if ranks().main:
        np.save(work.folder / LABELS, np.load(work.inputs["sampled"] / LABELS))


def decode(
    latent: torch.Tensor, vae: AutoencoderKL, davae: DAVAE | None, scale: int, zero: bool
) -> np.ndarray:
    """uint8 images of unscaled latents."""
    if davae is None:
        return to_uint8(upsample(vae.decode(latent).sample, scale))
    return to_uint8(
        davae.decode(davae.zero_detail(latent) if zero else latent, return_dict=False)[0]
    )


def adapted_pipeline(runtime: Runtime, base_dit: BaseDiTConfig, adapted: Path) -> Any:
    """The pretrained pipeline with the adaptation and the DA-VAE of a folder."""
    pipe = pretrained_pipeline(runtime, base_dit)
    attach(pipe, adapted)
    return pipe


@torch.no_grad()
def text_images(
    pipe: Any, family: str, prompts: list[str], noise: torch.Tensor, sample: SampleConfig,
    runtime: Runtime,
) -> torch.Tensor:  # fmt: skip
    """Images of prompts, float [B, 3, H, W] in about [-1, 1] on the CPU, from noise of
    `noise_shape`."""
    with runtime.autocast():
        velocity = FAMILIES[family].guided(pipe, prompts, sample)
        latent = sample_latents(velocity, noise.to(pipe.transformer.device), sample)
    latent = denormalise(latent, pipe.vae.config).to(pipe.vae.dtype)  # nothing to be cast
    return pipe.vae.decode(latent, return_dict=False)[0].float().cpu()


def noise_shape(pipe: Any, side: int) -> tuple[int, int, int]:
    """Of a pipeline's latent for images of side `side`."""
    factor = 2 ** (len(pipe.vae.config.block_out_channels) - 1)
    return pipe.vae.config.latent_channels, side // factor, side // factor


@together
@torch.no_grad()
def make_text_samples(
    work: Work, base_dit: BaseDiTConfig, sample: SampleConfig, side: int, scale: int, seed: int,
    lora_rank: int = 0,
) -> None:  # fmt: skip
    """An image of side `side` for every held-out caption; without an adaptation, `side / scale` px
    enlarged, by the pipeline as it is or with its tuned adapters of a rank."""
    wide = "adapted" in work.inputs
    if wide:
        pipe = adapted_pipeline(work.runtime, base_dit, work.inputs["adapted"] / MODEL)
    else:
        pipe = pretrained_pipeline(work.runtime, base_dit)
    if "tuned" in work.inputs:
        lora = lora_of(base_dit.family, lora_rank)
        load_adapters(pipe.transformer, work.inputs["tuned"] / ADAPTERS, lora)
    pipe.transformer.forward = work.runtime.compiled(pipe.transformer.forward, sampling=True)
    prompts = captions(work, "heldout")
    shape = noise_shape(pipe, side // (1 if wide else scale))

    def drawn(part: range) -> np.ndarray:
        noise = keyed.normal(seed, "sample/noise", 0, list(part), shape)
        asked = prompts[part.start : part.stop]
        pixels = text_images(pipe, base_dit.family, asked, noise, sample, work.runtime)
        return to_uint8(pixels if wide else upsample(pixels.clamp(-1, 1), scale))

    batch = work.runtime.images_at_once or sample.batch_size
    write_parts(work.folder / IMAGES, len(prompts), batch, drawn, "sampling")
    if ranks().main:
        np.save(work.folder / LABELS, crops(work.inputs["crops"], "heldout")[1])
