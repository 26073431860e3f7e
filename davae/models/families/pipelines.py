"""What the text-to-image pipelines of diffusers share.

diffusers' flow runs from data (sigma = 0) to noise (sigma = 1) and predicts noise - data; ours has
t = 1 - sigma and u = data - noise, so that one is the other's negative."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import DiffusionPipeline
from torch import nn

CLIP_TOKENS = 77
"""Of a prompt."""
OWN_ARCHITECTURE = "the pretrained pipeline has its own architecture"
REFUSES = {
    **{
        f"base_dit.{name}": OWN_ARCHITECTURE
        for name in ("hidden_size", "depth", "num_heads", "qk_norm")
    },
    "snapshot_step": "its images are of the end of training",
    "eval.count": "every held-out caption has an image",
    "base_dit.train": "the pretrained transformer is not trained at the base resolution",
}
"""Settings that no text-to-image family reads."""


def load_pipeline(pretrained: str, device: str, dtype: torch.dtype, expected: str) -> Any:
    """The pretrained pipeline; raises ValueError where it is not there or not of the class
    `expected`."""
    try:
        pipe = DiffusionPipeline.from_pretrained(pretrained, dtype=dtype)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"base_dit.pretrained is {pretrained!r}, which cannot be loaded ({error}); "
            "download the "
            "pipeline (its licence has to be accepted on its page) and give its folder: "
            "--base-dit.pretrained FOLDER --base-vae.pretrained FOLDER"
        ) from error
    if type(pipe).__name__ != expected:
        raise ValueError(
            f"{pretrained} holds a {type(pipe).__name__}; this base_dit.family needs a {expected}"
        )
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(device)


def t5_xxl() -> nn.Module:
    """The encoder of T5 v1.1 XXL, without weights."""
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(
            vocab_size=32128, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64,
            feed_forward_proj="gated-gelu",
        )
    )  # fmt: skip


def clip_text(width: int, layers: int, projected: bool) -> nn.Module:
    """CLIP's text tower, without weights: ViT-L/14's (768, 12) or ViT-bigG/14's (1280, 32)."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        projection_dim=width,
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config)
