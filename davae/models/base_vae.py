"""The base VAE: diffusers' AutoencoderKL, small and trained here, or any pretrained one."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL

from davae.core.experiment import BaseVAEConfig


def autoencoder(
    config: BaseVAEConfig, *, level_attention: bool = False, **changes: Any,
) -> AutoencoderKL:  # fmt: skip
    """A new AutoencoderKL of the config's widths; `changes` are further arguments of diffusers'.

    level_attention: in the last level of the encoder and the first of the decoder (VA-VAE).
    """
    levels, last = len(config.block_out_channels), "Attn" if level_attention else ""
    return AutoencoderKL(
        down_block_types=(*["DownEncoderBlock2D"] * (levels - 1), f"{last}DownEncoderBlock2D"),
        up_block_types=(f"{last}UpDecoderBlock2D", *["UpDecoderBlock2D"] * (levels - 1)),
        block_out_channels=tuple(config.block_out_channels),
        layers_per_block=config.layers_per_block,
        latent_channels=config.latent_channels,
        norm_num_groups=config.norm_num_groups,
        mid_block_add_attention=config.mid_attention,
        **{"scaling_factor": 1.0, "shift_factor": 0.0, "force_upcast": False, **changes},
    )


def build_base_vae(config: BaseVAEConfig) -> AutoencoderKL:
    """The AutoencoderKL of the config, freshly initialised, or loaded from `config.pretrained`."""
    if config.pretrained:
        return AutoencoderKL.from_pretrained(config.pretrained, subfolder=config.subfolder or None)
    return autoencoder(config)


@torch.no_grad()
def encode_mode(vae: AutoencoderKL, images: torch.Tensor) -> torch.Tensor:
    """The posterior's mode, unscaled: [B, 3, R, R] in [-1, 1] -> [B, C, R/f, R/f]."""
    return vae.encode(images).latent_dist.mode()


def normalise(latent: torch.Tensor, config: Any) -> torch.Tensor:
    """(z - shift_factor) scaling_factor with the VAE config's values: what a DiT is trained on.

    A shift_factor of None, as in older VAEs, is 0.
    """
    return (latent - (config.shift_factor or 0.0)) * config.scaling_factor


def denormalise(latent: torch.Tensor, config: Any) -> torch.Tensor:
    """The inverse of `normalise`."""
    return latent / config.scaling_factor + (config.shift_factor or 0.0)
