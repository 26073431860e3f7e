"""FLUX.1: latents packed two by two, guidance as an input of one forward."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from davae.core.experiment import Experiment, SampleConfig
from davae.method.sampler import Velocity
from davae.models.families.family import Architecture, Family, Layout
from davae.models.families.pipelines import REFUSES, clip_text, load_pipeline, t5_xxl

TEXT_TOKENS = 512
WIDTH, DOUBLE, SINGLE = 3072, 19, 38
"""Width, and numbers of blocks of two streams and of one."""
TRAINING_GUIDANCE = 1.0
"""The guidance input in training, which is towards data and not towards a guided velocity."""


def pipeline(pretrained: str, device: str, dtype: torch.dtype) -> Any:
    """The pretrained pipeline."""
    return load_pipeline(pretrained, device, dtype, "FluxPipeline")


@torch.no_grad()
def encode_prompts(pipe: Any, prompts: list[str]) -> dict[str, torch.Tensor]:
    """The transformer's text arguments."""
    embeds, pooled, text_ids = pipe.encode_prompt(prompts, None, device=pipe.transformer.device)
    return {"encoder_hidden_states": embeds, "pooled_projections": pooled, "txt_ids": text_ids}


def velocity(
    pipe: Any,
    x: torch.Tensor,
    t: torch.Tensor,
    text: dict[str, torch.Tensor],
    guidance: float = TRAINING_GUIDANCE,
) -> torch.Tensor:
    """u(x_t, t, prompt): x [B, C + D, h, w], t [B] -> like x."""
    from diffusers import FluxPipeline

    transformer = pipe.transformer
    batch, channels, height, width = x.shape
    packed = FluxPipeline._pack_latents(x, batch, channels, height, width)
    ids = FluxPipeline._prepare_latent_image_ids(batch, height // 2, width // 2, x.device, x.dtype)
    scale = x.new_full((batch,), guidance) if transformer.config.guidance_embeds else None
    out = transformer(
        packed, timestep=1 - t, img_ids=ids, guidance=scale, **text, return_dict=False
    )[0]
    patches = out.unflatten(1, (height // 2, width // 2)).unflatten(
        -1, (channels, 2, 2)
    )  # channel outermost
    return -patches.permute(0, 3, 1, 4, 2, 5).reshape(x.shape)


def guided(pipe: Any, prompts: list[str], sample: SampleConfig) -> Velocity:
    """The velocity at a guidance scale that the network takes as an input."""
    text = encode_prompts(pipe, prompts)

    def conditional(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return velocity(pipe, x, t.to(x).expand(len(x)), text, sample.guidance_scale)

    return conditional


def transformer() -> nn.Module:
    """FLUX.1-dev's transformer, 11.9 B parameters."""
    from diffusers import FluxTransformer2DModel

    return FluxTransformer2DModel(guidance_embeds=True)


def inputs(batch: int, channels: int, side: int) -> dict[str, torch.Tensor]:
    """A forward's arguments, on `meta`: packed 2x2 patches of the latent, 512 text tokens."""
    tokens = (side // 2) ** 2
    return {
        "hidden_states": torch.empty(batch, tokens, 4 * channels, device="meta"),
        "encoder_hidden_states": torch.empty(batch, TEXT_TOKENS, 4096, device="meta"),
        "pooled_projections": torch.empty(batch, 768, device="meta"),
        "timestep": torch.empty(batch, device="meta"),
        "guidance": torch.empty(batch, device="meta"),
        "img_ids": torch.empty(tokens, 3, device="meta"),
        "txt_ids": torch.empty(TEXT_TOKENS, 3, device="meta"),
    }


def flops(tokens: int, features: int) -> int:
    """Closed form: 19 double blocks (24 T d^2 a stream, 12 d^2 of adaLN each), 38 single ones (24 T
    d^2, 6 d^2)."""
    text, d = TEXT_TOKENS, WIDTH
    whole = tokens + text
    blocks = (
        (DOUBLE + SINGLE) * (24 * whole * d**2 + 4 * whole**2 * d)
        + DOUBLE * 24 * d**2
        + SINGLE * 6 * d**2
    )
    condition = 2 * 2 * (256 * d + d**2) + 2 * (768 * d + d**2) + 4 * d**2
    return blocks + condition + 2 * text * 4096 * d + 4 * tokens * features * d


def text_encoders() -> list[nn.Module]:
    """One CLIP tower and T5, without weights."""
    return [clip_text(768, 12, False), t5_xxl()]


def architecture(e: Experiment, classes: int) -> Architecture:
    """FLUX.1-dev."""
    return Architecture(
        build=transformer,
        inputs=inputs,
        closed_form=flops,
        width=WIDTH,
        depth=DOUBLE + SINGLE,
        forwards_a_step=1,
        text_tokens=TEXT_TOKENS,
        text_encoders=text_encoders,
        t5_tokens=TEXT_TOKENS,
    )


FAMILY = Family(
    name="flux",
    transformer="FluxTransformer2DModel",
    layout=Layout("x_embedder", "proj_out", packed=4, channel_outermost=True),
    conditions="captions",
    patch_size=2,
    controls=("base_upsampled", "tuned"),
    architecture=architecture,
    guided=guided,
    pipeline=pipeline,
    encode_prompts=encode_prompts,
    blocks=("transformer_blocks", "single_transformer_blocks"),
    same_for_all_prompts=("txt_ids",),
    velocity=velocity,
    vae={
        "use_quant_conv": False,
        "use_post_quant_conv": False,
        "scaling_factor": 0.3611,
        "shift_factor": 0.1159,
    },
    refuses={**REFUSES, "sample.guidance_interval": "its guidance is an input of every forward"},
)
