"""Prompts of text to image as the transformer is told of them: encoded at every step, or once and
stored."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from davae.core.experiment import BaseDiTConfig
from davae.core.ranks import ranks
from davae.core.runtime import Runtime
from davae.core.store import write_json
from davae.data.shards import Shards, write_shards
from davae.models.families.registry import FAMILIES
from davae.stages.artifacts import captions
from davae.stages.stage import Work, together
from davae.train.transformer import Denoiser

TEXT_CHECKS = 64
"""Held-out samples whose flow loss is logged, one by one."""
NO_PROMPT = -1
"""The number of the empty prompt, which is the last one."""
AT_ONCE = 32
"""Prompts that are encoded at once."""
ROWS, SHAPES, CONSTANTS = "prompts", "shapes.json", "constants.safetensors"
"""What the transformer is told, a row a prompt; the shapes of its parts; what all are told
alike."""


def pretrained_pipeline(runtime: Runtime, base_dit: BaseDiTConfig) -> Any:
    """The pretrained pipeline on the runtime's device, its weights in the runtime's dtype."""
    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[runtime.dtype or "float32"]
    return FAMILIES[base_dit.family].pipeline(base_dit.pretrained, runtime.device, dtype)


def training_prompts(work: Work) -> tuple[list[str], int]:
    """(the prompts of training crops, of those that are checked, and the empty one; how many are
    checked)."""
    checked = captions(work, "heldout")[:TEXT_CHECKS]
    return [*captions(work, "train"), *checked, ""], len(checked)


@together
def make_prompts(work: Work, base_dit: BaseDiTConfig) -> None:
    """What the text encoders make of `training_prompts`, in their dtype: the transformer's
    arguments end to end in a row of each prompt."""
    pipe, family = pretrained_pipeline(work.runtime, base_dit), FAMILIES[base_dit.family]
    prompts, _ = training_prompts(work)

    def encoded(texts: list[str]) -> dict[str, torch.Tensor]:
        with work.runtime.autocast():
            return family.encode_prompts(pipe, texts)

    example = encoded([""])
    constants = {name: example.pop(name).cpu() for name in family.same_for_all_prompts}
    if ranks().main:
        save_file(constants, work.folder / CONSTANTS)
        write_json(work.folder / SHAPES, {name: list(x.shape[1:]) for name, x in example.items()})

    def rows(part: range) -> torch.Tensor:
        found = encoded(prompts[part.start : part.stop])
        return torch.cat([found[name].flatten(1) for name in sorted(example)], 1).cpu()

    batch = work.runtime.images_at_once or AT_ONCE
    write_shards(work.folder / ROWS, len(prompts), batch, rows, "prompts")


def prompted(pipe: Any, family: str, prompts: list[str], detail_channels: int) -> Denoiser:
    """A pipeline's transformer whose conditions are numbers of `prompts`, the last one empty,
    encoded at every step."""

    def told(condition: torch.Tensor) -> dict[str, torch.Tensor]:
        texts = [prompts[i] for i in condition.tolist()]
        return FAMILIES[family].encode_prompts(pipe, texts)

    return denoiser(pipe, family, told, detail_channels)


def prompted_by(pipe: Any, family: str, stored: Path, detail_channels: int) -> Denoiser:
    """The same of what the stage `prompts` left in a folder; the pipeline's text encoders are
    dropped."""
    for name in [name for name in pipe.components if name.startswith("text_encoder")]:
        setattr(pipe, name, None)
    constants, rows = load_file(stored / CONSTANTS), Shards(stored / ROWS)
    shapes = json.loads((stored / SHAPES).read_text())
    widths = [math.prod(shapes[name]) for name in sorted(shapes)]

    def told(condition: torch.Tensor) -> dict[str, torch.Tensor]:
        parts = rows[condition.cpu()].split(widths, 1)
        arguments = {
            name: part.unflatten(1, shapes[name])
            for name, part in zip(sorted(shapes), parts, strict=True)
        }
        return {k: v.to(condition.device) for k, v in (arguments | constants).items()}

    return denoiser(pipe, family, told, detail_channels)


def denoiser(
    pipe: Any, family: str, told: Callable[[torch.Tensor], dict[str, torch.Tensor]],
    detail_channels: int,
) -> Denoiser:  # fmt: skip
    """A pipeline's transformer, told of numbers of prompts by `told`."""
    base_model = FAMILIES[family]

    def velocity(x: torch.Tensor, t: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        return base_model.velocity(pipe, x, t, told(condition))

    channels = pipe.vae.config.latent_channels
    return Denoiser(pipe.transformer, velocity, channels, detail_channels, NO_PROMPT, check_batch=1)
