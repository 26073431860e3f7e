"""The class-conditional LightningDiT, trained here or converted from a public checkpoint."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import torch

from davae.core.experiment import BaseDiTConfig, Experiment, SampleConfig
from davae.measure.flops import dit_forward_flops
from davae.method.sampler import Velocity, guided_forwards
from davae.method.sampler import guided as with_guidance
from davae.models.dit import DiT, DiTConfig
from davae.models.families.family import Architecture, Family, Layout


def network(base_dit: BaseDiTConfig, channels: int, side: int, classes: int) -> DiT:
    """A new DiT on latents [channels, side, side]."""
    shared = {f.name for f in fields(DiTConfig)} & {f.name for f in fields(BaseDiTConfig)}
    sizes = {name: getattr(base_dit, name) for name in shared}
    return DiT(
        **asdict(DiTConfig(in_channels=channels, input_size=side, num_classes=classes, **sizes))
    )


def guided(dit: DiT, labels: torch.Tensor, sample: SampleConfig) -> Velocity:
    """The velocity under guidance; labels are embedded once, and the time, which all samples share,
    once a step.

    It is a new tensor at every call, so that a compiled network may reuse its output's memory.
    """
    null = torch.full_like(labels, dit.config.num_classes)
    embedded = dit.y_embedder(torch.cat([labels, null]))

    def both(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return dit.velocity(x, dit.embed_time(t.to(x)[None]), embedded).to(x.dtype)

    def conditional(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return dit.velocity(x, dit.embed_time(t.to(x)[None]), embedded[: len(x)]).to(
            x.dtype, copy=True
        )

    return with_guidance(both, conditional, sample.guidance_scale, sample.guidance_interval)


def inputs(batch: int, channels: int, side: int) -> dict[str, torch.Tensor]:
    """A forward's arguments, on `meta`."""
    t, y = torch.empty(batch, device="meta"), torch.empty(batch, dtype=torch.long, device="meta")
    return {"x": torch.empty(batch, channels, side, side, device="meta"), "t": t, "y": y}


def flops(tokens: int, features: int, width: int, depth: int) -> int:
    """Closed form: blocks (24 T d^2 + 4 T^2 d, and 12 d^2 of adaLN), the embedding of time, the two
    ends."""
    blocks = dit_forward_flops(tokens, width, depth) + depth * 12 * width**2
    return blocks + 2 * (256 * width + width**2) + 4 * width**2 + 4 * tokens * features * width


def architecture(e: Experiment, classes: int) -> Architecture:
    """The DiT that the experiment widens."""
    b = e.base_dit

    def build() -> Any:
        return network(b, e.base_vae.latent_channels, e.latent_size, classes)

    def closed_form(tokens: int, features: int) -> int:
        return flops(tokens, features, b.hidden_size, b.depth)

    return Architecture(
        build=build,
        inputs=inputs,
        closed_form=closed_form,
        width=b.hidden_size,
        depth=b.depth,
        forwards_a_step=guided_forwards(e.sample.guidance_scale),
    )


FAMILY = Family(
    name="lightning",
    transformer="DiT",
    layout=Layout("x_embedder.proj", "final_layer.linear"),
    conditions="classes",
    controls=("control", "control_decoded", "base_upsampled", "base_decoded"),
    architecture=architecture,
    guided=guided,
    network=network,
    load=DiT.from_pretrained,
    lora_targets=("attn.qkv", "attn.proj", "mlp.w3", "adaLN_modulation.1"),
    refuses={"adapt.stored_prompts": "its conditions are classes"},
)
