"""Contrastive training of a small CLIP (Radford et al. 2021) on captioned scenes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F

from davae.core import keyed
from davae.core.experiment import TrainConfig
from davae.data.pixels import to_unit
from davae.data.scenes import CAPTION_FORMS
from davae.train.batches import Batch
from davae.train.loop import Task, Terms

MEAN, STD = 0.5, 0.5
"""Of the preprocessing: images in [-1, 1]."""


@dataclass(frozen=True)
class ClipConfig:
    """clip_tiny: a small CLIP for the captioned scenes, the offline judge of text and image."""

    image_px: int = 64
    scenes: int = 20_480
    """Training scenes, drawn once; captions take a fresh form at every step."""
    embed_dim: int = 64
    vision_width: int = 24
    """Of a ResNet with one block a stage."""
    text_width: int = 96
    text_layers: int = 2
    context_length: int = 32
    train: TrainConfig = field(
        default_factory=lambda: TrainConfig(
            steps=600,
            batch_size=128,
            lr=1e-3,
            betas=(0.9, 0.98),
            weight_decay=0.01,
            lr_warmup_steps=50,
            lr_schedule="cosine",
        )
    )


def contrastive_loss(
    images: torch.Tensor, texts: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    """Mean of the two cross-entropies of scale cos over a batch; unit rows [B, d]."""
    logits, target = scale * images @ texts.T, torch.arange(len(images), device=images.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def clip_task(
    model: Any, images: torch.Tensor, tokens: torch.Tensor,
    heldout: tuple[torch.Tensor, torch.Tensor], config: ClipConfig, seed: int,
) -> Task:  # fmt: skip
    """Train on uint8 images [N, 3, P, P]; tokens [forms, N, context] of every form of their
    captions.

    `heldout` are images and tokens of distinct captions, whose retrieval accuracy is logged.
    """
    device = next(model.parameters()).device

    def batch(n: int, samples: list[int]) -> Batch:
        index = keyed.choose(seed, "clip/data", n, samples, len(images))
        form = keyed.choose(seed, "clip/form", n, samples, CAPTION_FORMS)
        return images[index], tokens[form, index]

    def step(n: int, batch: Batch) -> Terms:
        x = to_unit(batch[0]).contiguous(memory_format=torch.channels_last)
        seen = model.encode_image(x, normalize=True)
        read = model.encode_text(batch[1], normalize=True)
        return {
            "loss": contrastive_loss(seen, read, model.logit_scale.clamp(max=math.log(100)).exp())
        }

    def evaluate() -> dict[str, float]:
        x = to_unit(heldout[0].to(device))
        seen, read = (
            model.encode_image(x, normalize=True),
            model.encode_text(heldout[1].to(device), normalize=True),
        )
        hit = (seen @ read.T).argmax(1).cpu() == torch.arange(len(x))
        return {"retrieval": float(hit.float().mean())}

    return Task("clip_tiny", model, batch, step, evaluate, evaluations=8)
