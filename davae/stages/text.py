"""The stages that train a text-to-image pipeline's own transformer: widened, or as it is."""

from __future__ import annotations

from typing import Any

import torch

from davae.core import keyed
from davae.core.experiment import AdaptConfig, BaseDiTConfig, FlowConfig
from davae.core.ranks import ranks
from davae.core.runtime import Runtime
from davae.models.adapt import (
    ADAPTED,
    DAVAE_FOLDER,
    Lora,
    adapt,
    add_lora,
    freeze_pretrained,
    lora_of,
    save_adaptation,
    save_adapters,
)
from davae.models.families.registry import FAMILIES
from davae.stages.artifacts import MODEL, joined_latents, load_davae, seeded
from davae.stages.prompts import pretrained_pipeline, prompted, prompted_by, training_prompts
from davae.stages.stage import Work, together
from davae.stages.transformer import further_terms
from davae.train.loop import Trainer
from davae.train.transformer import LatentSet, transformer_task

ADAPTERS = "adapters.safetensors"
"""Of a transformer that was not widened."""


@together
def make_text_adapted(
    work: Work, base_dit: BaseDiTConfig, adapt_config: AdaptConfig, flow: FlowConfig, seed: int
) -> None:
    """Widen the pipeline's transformer, train adapters and widened layers, and leave a folder for
    `attach`."""
    if adapt_config.init == "scratch":
        raise ValueError(
            "adapt.init 'scratch' draws the whole network anew, which is for the families trained "
            "here; choose another"
        )
    if not adapt_config.train.steps:
        raise ValueError(
            "adapt.train.steps is 0: the untrained detail would be decoded as noise; train 1 "
            "step or more"
        )
    roles = ("base_latents", "detail_latents")
    pipe = training_pipeline(work, base_dit)
    detail = joined_latents(work, "train", *roles).shape[1] - pipe.vae.config.latent_channels
    report = adapt(pipe.transformer, detail, adapt_config.init, keyed.generator(seed, "adapt/init"))
    if ranks().main:
        (work.folder / "widen.txt").write_text(f"{report}\n")
    lora = prepare_training(work.runtime, pipe.transformer, adapt_config, seed, base_dit.family)
    trained = train_text(
        work, pipe, roles, detail, "adaptation", base_dit=base_dit, config=adapt_config, flow=flow,
        seed=seed, structured=True,
    )  # fmt: skip
    if not ranks().main:
        return
    target = work.folder / MODEL
    target.mkdir()
    save_adaptation(trained, target / ADAPTED, lora)
    load_davae(work).save_pretrained(target / DAVAE_FOLDER)


@together
def make_text_tuned(
    work: Work, base_dit: BaseDiTConfig, adapt_config: AdaptConfig, flow: FlowConfig, seed: int
) -> None:
    """Train the adapters alone on the base latents, for as many steps of as many samples: the
    tokens are the adaptation's, so that the FLOPs are but for its widened layers."""
    if not adapt_config.lora_rank:
        raise ValueError("adapt.lora_rank is 0: the tuned control trains adapters; give a rank")
    pipe = training_pipeline(work, base_dit)
    lora = prepare_training(work.runtime, pipe.transformer, adapt_config, seed, base_dit.family)
    assert lora is not None
    trained = train_text(
        work, pipe, ("base_latents",), 0, "tuned control", base_dit=base_dit, config=adapt_config,
        flow=flow, seed=seed, structured=False,
    )  # fmt: skip
    if ranks().main:
        save_adapters(trained, work.folder / ADAPTERS)


def training_pipeline(work: Work, base_dit: BaseDiTConfig) -> Any:
    """The pretrained pipeline for training on latents: its VAE is on the host."""
    pipe = pretrained_pipeline(work.runtime, base_dit)
    pipe.vae.to("cpu")
    return pipe


def train_text(
    work: Work, pipe: Any, roles: tuple[str, ...], detail: int, name: str, *,
    base_dit: BaseDiTConfig, config: AdaptConfig, flow: FlowConfig, seed: int, structured: bool,
) -> Any:  # fmt: skip
    """Train what of the pipeline's transformer takes gradients on the latents of `roles` and their
    prompts; structured: by Eq. 12 and 13, otherwise by the plain flow loss and
    its further terms."""
    train = joined_latents(work, "train", *roles, count=config.train_crops)
    heldout = joined_latents(work, "heldout", *roles)
    prompts, checked = training_prompts(work)
    data = LatentSet(train, torch.arange(len(train)))
    first = len(prompts) - 1 - checked  # behind those of training
    checked = min(checked, len(heldout))
    check = LatentSet(heldout[:checked], first + torch.arange(checked))
    if "prompts" in work.inputs:
        denoiser = prompted_by(pipe, base_dit.family, work.inputs["prompts"], detail)
    else:
        denoiser = prompted(pipe, base_dit.family, prompts, detail)
    if work.runtime.compile:  # block by block: alike ones are compiled once
        for blocks in FAMILIES[base_dit.family].blocks:
            for block in getattr(pipe.transformer, blocks):
                block.compile()
    task = transformer_task(
        name, denoiser, data, {"heldout": check}, flow=flow, dropout=base_dit.class_dropout,
        seed=seed, adapt=config if structured else further_terms(config),
        epochs=config.train.epochs,
    )  # fmt: skip
    return Trainer(task, config.train, work.runtime, work.folder).run()


def prepare_training(
    runtime: Runtime, transformer: Any, adapt_config: AdaptConfig, seed: int, family: str
) -> Lora | None:
    """Freeze what is pretrained, add the adapters, and keep what is trained in float32; returns the
    adapters' config."""
    lora = lora_of(family, adapt_config.lora_rank) if adapt_config.lora_rank else None
    if lora is None:
        freeze_pretrained(transformer)
    else:
        seeded(seed, "adapt/lora")  # peft draws A from the global generator
        add_lora(transformer, lora)
    for parameter in transformer.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    if runtime.checkpoint_activations:
        transformer.enable_gradient_checkpointing()
    return lora
