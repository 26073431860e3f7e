"""Counting an experiment's networks on the `meta` device: parameters and FLOPs, exact for the
networks as built."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

from davae.core.experiment import Experiment
from davae.measure.flops import count_flops
from davae.method.vae_loss import hinge_loss
from davae.models.adapt import adapt, add_lora, freeze_pretrained, lora_of
from davae.models.davae import DAVAE
from davae.models.dit import DiT
from davae.models.families.registry import family_of
from davae.models.unweighted import (
    architecture,
    base_vae,
    davae_config,
    first,
    loss_networks,
    native_dit,
    parameters,
    prompt_ids,
)


@dataclass(frozen=True)
class Count:
    """Exact counts of a preset's networks; FLOPs are of one sample."""

    transformer: int
    """Parameters of the pretrained transformer."""
    positions: int
    """Numbers of a fixed position table, which are not trained and not among the parameters."""
    widened: int
    """Parameters that widening adds."""
    trained: int
    """Parameters of the widened transformer that the adaptation trains, adapters included."""
    lora: int
    text: int
    """Parameters of the text encoders."""
    davae_frozen: int
    davae_trained: int
    forward: int
    """One forward of the widened transformer."""
    native_forward: int
    """Of the pretrained one at the same resolution, s^2 times the tokens."""
    training_step: int
    """Forward and backward of the widened transformer with what the adaptation trains."""
    decode: int
    native_decode: int
    """The base VAE's, to an image of the same size."""
    encode: int
    """The base and the detail latent of an image."""
    encode_base: int
    """The base latent alone."""
    davae_step: int
    """Forward and backward of the detail encoder and the decoder, losses not counted."""
    losses: int
    """Of a DA-VAE's step: LPIPS, ConvNeXt and the discriminator, forward and backward, where they
    have a weight."""
    prompt: int
    """One prompt through the text encoders."""
    prompt_values: int
    """Numbers that the transformer is told of a prompt."""


TOLD = ("encoder_hidden_states", "pooled_projections")
"""Arguments of a text transformer that are of the prompt."""


def count(e: Experiment) -> Count:
    """Build the experiment's networks on `meta` and count: seconds, and no memory to speak of."""
    with torch.device("meta"), torch.enable_grad():
        return Count(**count_transformer(e), **count_autoencoder(e))


def count_transformer(e: Experiment) -> dict[str, int]:
    """The fields of `Count` that are of the transformer and its text encoders."""
    arch, config = architecture(e), davae_config(e)
    transformer: Any = arch.build()
    before, native_side = parameters(transformer), e.latent_size * e.data.scale
    native = native_dit(transformer, native_side) if isinstance(transformer, DiT) else transformer
    with torch.no_grad():
        native_forward, _ = count_flops(
            lambda: native(**arch.inputs(1, config.base_channels, native_side))
        )
    adapt(transformer, e.davae.detail_channels)
    widened = parameters(transformer) - before
    inputs = arch.inputs(1, config.latent_channels, e.latent_size)
    with torch.no_grad():
        forward, _ = count_flops(lambda: transformer(**inputs))
    lora = 0
    if e.adapt.lora_rank:
        add_lora(transformer, lora_of(e.base_dit.family, e.adapt.lora_rank))
        lora = parameters(transformer) - before - widened
    elif family_of(e).conditions == "captions":
        freeze_pretrained(transformer)
    step, _ = count_flops(lambda: first(transformer(**inputs)).sum().backward())
    encoders = arch.text_encoders()
    with torch.no_grad():
        prompt, _ = count_flops(lambda: [x(prompt_ids(x, arch, 1)) for x in encoders])
    return {
        "transformer": before,
        "widened": widened,
        "lora": lora,
        "text": parameters(*encoders),
        "prompt": prompt,
        "prompt_values": sum(inputs[name].numel() for name in TOLD if name in inputs),
        "positions": transformer.pos_embed.numel() if isinstance(transformer, DiT) else 0,
        "trained": sum(p.numel() for p in transformer.parameters() if p.requires_grad),
        "forward": forward,
        "native_forward": native_forward,
        "training_step": step,
    }


def count_autoencoder(e: Experiment) -> dict[str, int]:
    """The fields of `Count` that are of the DA-VAE and of the base VAE at the high resolution."""
    config, side = davae_config(e), e.latent_size * e.data.scale
    davae = DAVAE(**asdict(config))
    image = torch.empty(1, 3, e.data.resolution_px, e.data.resolution_px)
    latent = torch.empty(1, config.latent_channels, e.latent_size, e.latent_size)
    with torch.no_grad():
        decode, _ = count_flops(lambda: davae.decode(latent))
        encode, _ = count_flops(lambda: davae.encode(image))
        encode_base, _ = count_flops(lambda: davae.encode_base(image))
        grid = torch.empty(1, config.base_channels, side, side)
        native_decode, _ = count_flops(lambda: base_vae(e).decode(grid))

    def training_step() -> None:
        mean, _ = davae.detail_moments(image)
        base = latent[:, : config.base_channels]
        davae.decode_raw(torch.cat([base, mean], 1)).sum().backward()

    if e.davae.freeze_encoder:
        davae.detail_encoder.requires_grad_(False)
    step, _ = count_flops(training_step)
    frozen = parameters(davae.base_encoder, davae.base_quant_conv)
    return {
        "davae_frozen": frozen,
        "davae_trained": parameters(davae) - frozen,
        "decode": decode,
        "encode": encode,
        "native_decode": native_decode,
        "encode_base": encode_base,
        "davae_step": step,
        "losses": count_losses(e),
    }


def count_losses(e: Experiment) -> int:
    """FLOPs of the networks of Eq. 6 on one image and its reconstruction, forward and backward."""
    perceptual, discriminator = loss_networks(e.davae)
    image = torch.empty(1, 3, e.data.resolution_px, e.data.resolution_px)

    def judge() -> None:
        rebuilt = torch.empty_like(image, requires_grad=True)
        terms = [network(rebuilt, image).sum() for network in perceptual.values()]
        if discriminator is not None:
            terms.append(discriminator.frozen(rebuilt).mean())
            terms.append(hinge_loss(discriminator(image), discriminator(rebuilt.detach())))
        if terms:
            torch.stack(terms).sum().backward()

    return count_flops(judge)[0]
