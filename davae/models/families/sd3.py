"""Stable Diffusion 3 and 3.5."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from davae.core.experiment import Experiment, SampleConfig
from davae.method.sampler import Velocity, guided_forwards
from davae.method.sampler import guided as with_guidance
from davae.models.families.family import Architecture, Family, Layout
from davae.models.families.pipelines import CLIP_TOKENS, REFUSES, clip_text, load_pipeline, t5_xxl

TEXT_TOKENS = 333
"""77 of CLIP and 256 of T5."""
WIDTH, DEPTH, DUAL = 1536, 24, 13
"""Of SD3.5-Medium; DUAL blocks have a second attention of the image's own."""


def pipeline(pretrained: str, device: str, dtype: torch.dtype) -> Any:
    """The pretrained pipeline."""
    return load_pipeline(pretrained, device, dtype, "StableDiffusion3Pipeline")


@torch.no_grad()
def encode_prompts(pipe: Any, prompts: list[str]) -> dict[str, torch.Tensor]:
    """The transformer's text arguments."""
    device = pipe.transformer.device
    embeds, _, pooled, _ = pipe.encode_prompt(
        prompts, None, None, device=device, do_classifier_free_guidance=False
    )
    return {"encoder_hidden_states": embeds, "pooled_projections": pooled}


def velocity(
    pipe: Any, x: torch.Tensor, t: torch.Tensor, text: dict[str, torch.Tensor]
) -> torch.Tensor:
    """u(x_t, t, prompt): x [B, C + D, h, w], t [B] -> like x."""
    return -pipe.transformer(x, timestep=1000 * (1 - t), **text, return_dict=False)[0]


def guided(pipe: Any, prompts: list[str], sample: SampleConfig) -> Velocity:
    """The velocity under classifier-free guidance against the empty prompt."""
    text, null = encode_prompts(pipe, prompts), encode_prompts(pipe, [""] * len(prompts))
    doubled = {name: torch.cat([rows, null[name]]) for name, rows in text.items()}

    def both(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return velocity(pipe, x, t.to(x).expand(len(x)), doubled)

    def conditional(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return velocity(pipe, x, t.to(x).expand(len(x)), text)

    return with_guidance(both, conditional, sample.guidance_scale, sample.guidance_interval)


def transformer() -> nn.Module:
    """SD3.5-Medium's transformer, 2.24 B parameters."""
    from diffusers import SD3Transformer2DModel

    return SD3Transformer2DModel(
        sample_size=128,
        patch_size=2,
        in_channels=16,
        out_channels=16,
        num_layers=DEPTH,
        attention_head_dim=64,
        num_attention_heads=24,
        joint_attention_dim=4096,
        caption_projection_dim=WIDTH,
        pooled_projection_dim=2048,
        pos_embed_max_size=384,
        dual_attention_layers=tuple(range(DUAL)),
        qk_norm="rms_norm",
    )


def inputs(batch: int, channels: int, side: int) -> dict[str, torch.Tensor]:
    """A forward's arguments, on `meta`."""
    return {
        "hidden_states": torch.empty(batch, channels, side, side, device="meta"),
        "encoder_hidden_states": torch.empty(batch, TEXT_TOKENS, 4096, device="meta"),
        "pooled_projections": torch.empty(batch, 2048, device="meta"),
        "timestep": torch.empty(batch, device="meta"),
    }


def flops(tokens: int, features: int) -> int:
    """Closed form: both streams' 24 T d^2, joint attention, the image's second attention in the
    first DUAL blocks, adaLN of 6, 9 (dual) and 6 rows a stream; the last block gives no text: keys,
    values and queries alone."""
    text, d = TEXT_TOKENS, WIDTH
    image = DEPTH * 24 * tokens * d**2 + DUAL * (8 * tokens * d**2 + 4 * tokens**2 * d)
    words = (DEPTH - 1) * 24 * text * d**2 + 6 * text * d**2
    joint = DEPTH * 4 * (tokens + text) ** 2 * d
    modulation = 2 * d**2 * (6 * DEPTH + 3 * DUAL + 6 * (DEPTH - 1) + 2)
    condition = 2 * (256 * d + d**2) + 2 * (2048 * d + d**2) + 4 * d**2
    return (
        image
        + words
        + joint
        + modulation
        + condition
        + 2 * text * 4096 * d
        + 4 * tokens * features * d
    )


def text_encoders() -> list[nn.Module]:
    """Both CLIP towers and T5, without weights."""
    return [clip_text(768, 12, True), clip_text(1280, 32, True), t5_xxl()]


def architecture(e: Experiment, classes: int) -> Architecture:
    """SD3.5-Medium."""
    return Architecture(
        build=transformer,
        inputs=inputs,
        closed_form=flops,
        width=WIDTH,
        depth=DEPTH,
        forwards_a_step=guided_forwards(e.sample.guidance_scale),
        text_tokens=TEXT_TOKENS,
        text_encoders=text_encoders,
        t5_tokens=TEXT_TOKENS - CLIP_TOKENS,
    )


FAMILY = Family(
    name="sd3",
    transformer="SD3Transformer2DModel",
    layout=Layout("pos_embed.proj", "proj_out"),
    conditions="captions",
    patch_size=2,
    controls=("base_upsampled", "tuned"),
    architecture=architecture,
    guided=guided,
    pipeline=pipeline,
    encode_prompts=encode_prompts,
    blocks=("transformer_blocks",),
    velocity=velocity,
    vae={
        "use_quant_conv": False,
        "use_post_quant_conv": False,
        "scaling_factor": 1.5305,
        "shift_factor": 0.0609,
    },
    refuses=REFUSES,
)
