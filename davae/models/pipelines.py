"""A text-to-image pipeline of diffusers as this project trains it: prompts in, our velocity out.

diffusers' flow runs from data (sigma = 0) to noise (sigma = 1) and predicts noise - data; ours has t = 1 - sigma and
u = data - noise, so that one is the other's negative.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from diffusers import DiffusionPipeline, FluxPipeline

Family = Literal["sd3", "flux"]
CLASSES = {"sd3": "StableDiffusion3Pipeline", "flux": "FluxPipeline"}
TRAINING_GUIDANCE = 1.0
"""FLUX's guidance input in training, which is towards data and not towards a guided velocity."""


def load_pipeline(family: Family, pretrained: str, device: str, dtype: torch.dtype) -> Any:
    """The pretrained pipeline; raises ValueError where it is not there or is of another class."""
    try:
        pipe = DiffusionPipeline.from_pretrained(pretrained, dtype=dtype)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"base_dit.pretrained is {pretrained!r}, which cannot be loaded ({error}); download the "
            "pipeline (its licence has to be accepted on its page) and give its folder: "
            "--base-dit.pretrained FOLDER --base-vae.pretrained FOLDER"
        ) from error
    if type(pipe).__name__ != CLASSES[family]:
        raise ValueError(f"{pretrained} holds a {type(pipe).__name__}; base_dit.family {family!r} is {CLASSES[family]}")
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device)


@torch.no_grad()
def encode_prompts(pipe: Any, prompts: list[str]) -> dict[str, torch.Tensor]:
    """What the transformer is told of the prompts: its text arguments, rows in the prompts' order."""
    device = pipe.transformer.device
    if isinstance(pipe, FluxPipeline):
        embeds, pooled, text_ids = pipe.encode_prompt(prompts, None, device=device)
        return {"encoder_hidden_states": embeds, "pooled_projections": pooled, "txt_ids": text_ids}
    embeds, _, pooled, _ = pipe.encode_prompt(prompts, None, None, device=device, do_classifier_free_guidance=False)
    return {"encoder_hidden_states": embeds, "pooled_projections": pooled}


def velocity(pipe: Any, x: torch.Tensor, t: torch.Tensor, text: dict[str, torch.Tensor]) -> torch.Tensor:
    """u(x_t, t, prompt) of the pipeline's transformer: x [B, C + D, h, w], t [B] -> [B, C + D, h, w]."""
    transformer = pipe.transformer
    if not isinstance(pipe, FluxPipeline):
        return -transformer(x, timestep=1000 * (1 - t), **text, return_dict=False)[0]
    batch, channels, height, width = x.shape
    packed = FluxPipeline._pack_latents(x, batch, channels, height, width)
    ids = FluxPipeline._prepare_latent_image_ids(batch, height // 2, width // 2, x.device, x.dtype)
    guidance = x.new_full((batch,), TRAINING_GUIDANCE) if transformer.config.guidance_embeds else None
    out = transformer(packed, timestep=1 - t, img_ids=ids, guidance=guidance, **text, return_dict=False)[0]
    patches = out.unflatten(1, (height // 2, width // 2)).unflatten(-1, (channels, 2, 2))  # channel outermost
    return -patches.permute(0, 3, 1, 4, 2, 5).reshape(x.shape)
