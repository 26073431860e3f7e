"""What a base model is to this project: everything that differs between one and the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import nn

from davae.core.experiment import BaseDiTConfig, Experiment, SampleConfig
from davae.method.sampler import Velocity


@dataclass(frozen=True)
class Layout:
    """Where a class keeps the two layers that meet the latent, and how it packs patches."""

    embed: str
    head: str
    packed: int = 1
    """Latent positions that the pipeline packs into one feature before the transformer sees them.
    """
    channel_outermost: bool = False
    """Order of a packed feature: channel outermost (FLUX), or innermost."""


@dataclass(frozen=True)
class Architecture:
    """One transformer in full size, without its weights, on whatever torch device is current."""

    build: Callable[[], nn.Module]
    """The pretrained transformer, not widened."""
    inputs: Callable[[int, int, int], dict[str, torch.Tensor]]
    """(batch, latent channels, latent side) -> arguments of a forward, on `meta`."""
    closed_form: Callable[[int, int], int]
    """(image tokens, features a token) -> FLOPs of one forward of one sample."""
    width: int
    depth: int
    """Number of blocks."""
    forwards_a_step: int
    """2 where guidance takes a forward without the condition as well."""
    text_tokens: int = 0
    text_encoders: Callable[[], list[nn.Module]] = list
    t5_tokens: int = 0
    """Of a prompt, for the T5 among them; CLIP has its own number."""


def _captions_only(*_: Any) -> Any:
    raise ValueError("this family is conditioned on classes; it has no pipeline and no prompts")


def _classes_only(*_: Any) -> Any:
    raise ValueError(
        "this family is a pretrained pipeline; there is no network of it to train from scratch"
    )


@dataclass(frozen=True)
class Family:
    """A base model. Class-conditional families train a `network`; those on captions load a
    `pipeline`."""

    name: str
    transformer: str
    """Its class's name."""
    layout: Layout
    conditions: Literal["classes", "captions"]
    controls: tuple[str, ...]
    """The methods in METHODS that a run compares with."""
    architecture: Callable[[Experiment, int], Architecture]
    """(experiment, number of classes) -> its full-size network, for plans."""
    guided: Callable[[Any, Any, SampleConfig], Velocity]
    """(network, labels [B]) or (pipeline, prompts) -> the velocity that sampling integrates."""
    network: Callable[[BaseDiTConfig, int, int, int], nn.Module] = _classes_only
    """(config, channels, latent side, classes) -> a new network v(x, t, y)."""
    load: Callable[[Any], Any] = _classes_only
    """The network saved in a folder."""
    pipeline: Callable[[str, str, torch.dtype], Any] = _captions_only
    """(folder or hub name, device, dtype) -> the pretrained pipeline."""
    encode_prompts: Callable[[Any, list[str]], dict[str, torch.Tensor]] = _captions_only
    """(pipeline, prompts) -> what the transformer is told of them, rows in the prompts' order."""
    same_for_all_prompts: tuple[str, ...] = ()
    """Which of that has no rows for prompts."""
    velocity: Callable[[Any, torch.Tensor, torch.Tensor, dict[str, torch.Tensor]], torch.Tensor] = (
        _captions_only
    )
    """(pipeline, x [B, C + D, h, w], t [B], encoded prompts) -> u(x_t, t, prompt), like x."""
    vae: dict[str, Any] = field(default_factory=dict)
    """What the config of its public VAE says beside the experiment's widths, for plans."""
    patch_size: int = 0
    """Of its pretrained transformer, where the experiment has no choice; 0: it has."""
    blocks: tuple[str, ...] = ()
    """Lists of a pipeline's transformer whose blocks are compiled one by one in training."""
    lora_targets: tuple[str, ...] = (
        "to_q", "to_k", "to_v", "to_out.0", "ff.net.2", "norm1.linear"
    )  # fmt: skip
    """Ends of the names of the layers that get adapters: of the SD3.5-M recipe, attention, the
    second MLP layer and the modulation of the image stream."""
    refuses: dict[str, str] = field(default_factory=dict)
    """Settings that it does not read, by their name in the experiment, and why."""
