"""The stage that trains clip_tiny, the offline judge of captions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from davae.core.records import Measurement, write_measurements
from davae.core.store import write_json
from davae.data.pixels import to_unit
from davae.data.scenes import CAPTION_FORMS, plan_scene, scenes
from davae.features.clip import CONFIG, TINY, WEIGHTS
from davae.metrics.clip_score import retrieval
from davae.stages.artifacts import seeded
from davae.stages.stage import Pipeline, Stage, Work
from davae.train.clip import MEAN, STD, ClipConfig, clip_task
from davae.train.loop import Trainer

AMONG = 64
"""Distinct captions among which an image's own is to be found."""
ROUNDS = 8


def model_config(clip: ClipConfig) -> dict[str, Any]:
    """The architecture in open_clip's terms."""
    vision = {
        "image_size": clip.image_px, "layers": [1, 1, 1, 1], "width": clip.vision_width,
        "head_width": clip.vision_width,
    }  # fmt: skip
    text = {
        "context_length": clip.context_length, "vocab_size": 49408, "width": clip.text_width,
        "heads": max(1, clip.text_width // 32), "layers": clip.text_layers,
    }  # fmt: skip
    return {"embed_dim": clip.embed_dim, "vision_cfg": vision, "text_cfg": text}


def heldout_rounds(clip: ClipConfig, seed: int, rounds: int) -> list[tuple[np.ndarray, list[str]]]:
    """`rounds` sets of 64 held-out scenes whose captions, in one form, differ from each other."""
    rounds_drawn, index = [], 0
    for _ in range(rounds):
        chosen: dict[str, int] = {}
        while len(chosen) < AMONG:
            chosen.setdefault(plan_scene(seed, "heldout", index)[0].caption(), index)
            index += 1
        images, _, _ = scenes(clip.image_px, seed, "heldout", list(chosen.values()))
        rounds_drawn.append((images, list(chosen)))
    return rounds_drawn


def make_clip_tiny(work: Work, clip: ClipConfig, seed: int) -> None:
    """Train on scenes, save as an open_clip folder, measure retrieval on held-out combinations."""
    import open_clip
    from open_clip.model import CLIP

    images, _, shown = scenes(clip.image_px, seed, "train", list(range(clip.scenes)))
    tokenizer = open_clip.SimpleTokenizer(context_length=clip.context_length)
    tokens = torch.stack(
        [tokenizer([s.caption(form) for s in shown]) for form in range(CAPTION_FORMS)]
    )
    check = heldout_rounds(clip, seed, 1)[0]
    seeded(seed, "clip_tiny")
    architecture = model_config(clip)
    model = CLIP(**architecture).to(work.runtime.device, memory_format=work.runtime.layout())
    held = (torch.from_numpy(check[0]), tokenizer(check[1]))
    task = clip_task(model, torch.from_numpy(images), tokens, held, clip, seed)
    Trainer(task, clip.train, work.runtime, work.folder).run()
    save(work, model, architecture)
    measure(work, model, tokenizer, heldout_rounds(clip, seed + 1, ROUNDS))


def save(work: Work, model: torch.nn.Module, architecture: dict[str, Any]) -> None:
    """A folder that open_clip loads as `local-dir:`."""
    folder = work.folder / TINY
    folder.mkdir(exist_ok=True)
    prepare = {
        "mean": [MEAN] * 3,
        "std": [STD] * 3,
        "interpolation": "bicubic",
        "resize_mode": "squash",
    }
    write_json(folder / CONFIG, {"model_cfg": architecture, "preprocess_cfg": prepare})
    save_file(
        {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}, folder / WEIGHTS
    )


@torch.no_grad()
def measure(
    work: Work, model: Any, tokenizer: Any, rounds: list[tuple[np.ndarray, list[str]]]
) -> None:
    """Top-1 retrieval among 64 captions, averaged over the rounds."""
    accuracies = []
    for images, captions in rounds:
        x = to_unit(images).to(work.runtime.device)
        seen = model.encode_image(x, normalize=True).cpu().numpy()
        read = (
            model.encode_text(tokenizer(captions).to(work.runtime.device), normalize=True)
            .cpu()
            .numpy()
        )
        accuracies.append(retrieval(seen, read))
    top1 = Measurement(
        "retrieval_top1", float(np.mean(accuracies)), AMONG * len(rounds), higher_is_better=True,
        protocol=f"{AMONG} distinct captions of held-out combinations, {len(rounds)} rounds",
    )  # fmt: skip
    write_measurements(work.folder, {"clip_tiny": [top1]})


def trained_models(pipeline: Pipeline) -> Callable[[str], Path]:
    """What `Host.trained` looks models up with: trains clip_tiny if it is not there yet."""
    return lambda model: pipeline.path(clip_tiny_stage()) / model


def clip_tiny_stage(clip: ClipConfig | None = None, seed: int = 0) -> Stage:
    """The stage at a config; the default one is the judge."""
    return Stage("clip_tiny", 1, make_clip_tiny, {"clip": clip or ClipConfig(), "seed": seed})
