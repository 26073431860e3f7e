"""The networks of an experiment in full size, without their weights.

Built on whatever torch device is current: on `meta` they take no memory."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import nn

from davae.core.data_config import FILES
from davae.core.experiment import DetailConfig, Experiment
from davae.data.photos import PHOTOS
from davae.data.scenes import CLASSES as SCENE_CLASSES
from davae.features.convnext import ScoreDistance
from davae.models.base_vae import autoencoder
from davae.models.davae import DAVAEConfig
from davae.models.discriminator import PatchDiscriminator
from davae.models.dit import DiT
from davae.models.families.family import Architecture
from davae.models.families.pipelines import CLIP_TOKENS
from davae.models.families.registry import family_of

CLASSES = {
    "photos": len(PHOTOS),
    "scenes": len(SCENE_CLASSES),
    **dict.fromkeys((*FILES, "hub"), 1_000),
}
"""Classes by data set; files are taken for ImageNet's."""


def architecture(e: Experiment) -> Architecture:
    """The transformer that the experiment widens, in full size."""
    return family_of(e).architecture(e, CLASSES[e.data.name])


def base_vae(e: Experiment) -> AutoencoderKL:
    """The base VAE's network, without its weights."""
    family = family_of(e)
    level_attention = bool(e.base_vae.pretrained) and family.conditions == "classes"  # VA-VAE
    return autoencoder(e.base_vae, level_attention=level_attention, **family.vae)


def davae_config(e: Experiment) -> DAVAEConfig:
    """The DA-VAE of the experiment: over SD3's or FLUX's VAE, over VA-VAE, or over the small one
    trained here."""
    with torch.device("meta"):
        vae = base_vae(e)
    return DAVAEConfig.of_experiment(vae, e.davae, e.data.scale, e.data.antialias)


def parameters(*modules: nn.Module) -> int:
    """The number of the modules' parameters."""
    return sum(p.numel() for module in modules for p in module.parameters())


def tokens(e: Experiment) -> int:
    """Image tokens a forward."""
    return (e.latent_size // e.base_dit.patch_size) ** 2


def native_dit(transformer: DiT, side: int) -> DiT:
    """The same DiT for another grid: its positions are made for one."""
    return DiT(**{**dict(transformer.config), "input_size": side})


def first(output: Any) -> torch.Tensor:
    """The tensor of a transformer's output."""
    return output if isinstance(output, torch.Tensor) else output[0]


def prompt_ids(encoder: nn.Module, arch: Architecture, prompts: int) -> torch.Tensor:
    """The tokens of some prompts, as many as the encoder is given of each."""
    tokens = arch.t5_tokens if type(encoder).__name__.startswith("T5") else CLIP_TOKENS
    return torch.zeros(prompts, tokens, dtype=torch.long)


def loss_networks(config: DetailConfig) -> tuple[dict[str, nn.Module], PatchDiscriminator | None]:
    """The perceptual networks of Eq. 6 that have a weight, frozen, by name, and the
    discriminator."""
    import lpips
    from torchvision.models import convnext_small

    found: dict[str, nn.Module] = {}
    if config.lpips_weight:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # lpips names torchvision's weights as it was once done
            network = lpips.LPIPS(net="vgg", pretrained=False, pnet_rand=True, verbose=False)
        found["lpips"] = network.to(torch.get_default_device())  # its constants are on the CPU
    if config.convnext_weight:
        found["convnext"] = ScoreDistance(convnext_small())
    for network in found.values():
        network.eval().requires_grad_(False)
    return found, PatchDiscriminator() if config.gan_weight else None
