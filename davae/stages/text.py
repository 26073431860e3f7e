"""The stages of text to image: captions, the adaptation of a diffusers pipeline, and its samples."""

from __future__ import annotations

import json
from typing import Any, get_args

import numpy as np
import torch
from tqdm import tqdm

from davae import keyed
from davae.config import AdaptConfig, BaseDiTConfig, DataConfig, FlowConfig, SampleConfig
from davae.data.captions import draw_captions
from davae.data.crops import to_uint8, upsample
from davae.data.source import Split
from davae.models.adapt import ADAPTED, DAVAE_FOLDER, Lora, adapt, add_lora, attach, freeze_pretrained, save_adaptation
from davae.models.pipelines import load_pipeline
from davae.stages.stage import Work
from davae.stages.training import MODEL, crops, latent_set, load_davae, load_vae
from davae.store import write_json
from davae.train.loop import Trainer
from davae.train.text import text_task

CHECKS = 64
"""Held-out samples whose flow loss is logged."""


def make_captions(work: Work, data: DataConfig, seed: int) -> None:
    """The captions of every split's crops."""
    for split in get_args(Split):
        count = data.train_crops if split == "train" else data.eval_crops
        write_json(work.folder / f"{split}_captions.json", draw_captions(data, seed, split, count))


def captions(work: Work, split: str) -> list[str]:
    """The captions of a split."""
    return json.loads((work.inputs["captions"] / f"{split}_captions.json").read_text())


def pretrained_pipeline(work: Work, base_dit: BaseDiTConfig) -> Any:
    """The pretrained pipeline on the runtime's device, its weights in the runtime's dtype."""
    assert base_dit.family != "lightning"
    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[work.runtime.dtype or "float32"]
    return load_pipeline(base_dit.family, base_dit.pretrained, work.runtime.device, dtype)


def make_text_adapted(
    work: Work, base_dit: BaseDiTConfig, adapt_config: AdaptConfig, flow: FlowConfig, seed: int
) -> None:
    """Widen the pipeline's transformer, train adapters and widened layers, and leave a folder for `attach`."""
    if not adapt_config.train.steps:
        raise ValueError("adapt.train.steps is 0: the untrained detail would be decoded as noise; train 1 step or more")
    roles = ("base_latents", "detail_latents")
    factors = load_vae(work).config
    train, heldout = (latent_set(work, split, factors, *roles).latents for split in ("train", "heldout"))
    pipe = pretrained_pipeline(work, base_dit)
    pipe.vae.to("cpu")  # latents are cached
    transformer = pipe.transformer
    detail = train.shape[1] - factors.latent_channels
    report = adapt(transformer, detail, adapt_config.init, keyed.generator(seed, "adapt/init"))
    (work.folder / "widen.txt").write_text(str(report) + "\n")
    lora = Lora(adapt_config.lora_rank, adapt_config.lora_rank) if adapt_config.lora_rank else None
    if lora is None:
        freeze_pretrained(transformer)
    else:
        torch.manual_seed(keyed.key(seed, "adapt/lora") >> 1)  # peft draws A from the global generator
        add_lora(transformer, lora)
    for parameter in transformer.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    if work.runtime.checkpoint_activations:
        transformer.enable_gradient_checkpointing()
    held = (heldout[:CHECKS], captions(work, "heldout")[:CHECKS])
    task = text_task(
        pipe, train, captions(work, "train"), held, flow, base_dit.class_dropout, seed, adapt_config
    )  # fmt: skip
    Trainer(task, adapt_config.train, work.runtime, work.folder).run()
    target = work.folder / MODEL
    target.mkdir()
    save_adaptation(transformer, target / ADAPTED, lora)
    load_davae(work).save_pretrained(target / DAVAE_FOLDER)


def adapted_pipeline(work: Work, base_dit: BaseDiTConfig) -> Any:
    """The pretrained pipeline with the stage's adaptation and DA-VAE."""
    pipe = pretrained_pipeline(work, base_dit)
    attach(pipe, work.inputs["adapted"] / MODEL)
    return pipe


@torch.no_grad()
def make_text_samples(
    work: Work, base_dit: BaseDiTConfig, sample: SampleConfig, side: int, scale: int, seed: int
) -> None:
    """An image of side `side` for every held-out caption; without an adaptation, `side / scale` px enlarged.

    The scheduler is the pipeline's own: `solver`, `timestep_shift` and `guidance_interval` do not act here.
    """
    wide = "adapted" in work.inputs
    pipe = adapted_pipeline(work, base_dit) if wide else pretrained_pipeline(work, base_dit)
    prompts, size = captions(work, "heldout"), side if wide else side // scale
    images = []
    for start in tqdm(range(0, len(prompts), sample.batch_size), desc="sampling", unit="batch"):
        part = prompts[start : start + sample.batch_size]
        generators = [keyed.generator(seed, f"sample/noise/{start + i}") for i in range(len(part))]
        with work.runtime.autocast():
            made = pipe(
                part, height=size, width=size, num_inference_steps=sample.num_inference_steps,
                guidance_scale=sample.guidance_scale, generator=generators, output_type="pt",
            ).images  # fmt: skip
        pixels = made.float().cpu() * 2 - 1
        images.append(to_uint8(pixels if wide else upsample(pixels, scale)))
    np.save(work.folder / "images.npy", np.concatenate(images))
    np.save(work.folder / "labels.npy", crops(work.inputs["crops"], "heldout")[1])
