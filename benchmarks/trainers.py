"""Trainings on random data, as the pipeline does them, and the parts of a step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from davae.core.experiment import AdaptConfig, DetailConfig, FlowConfig, TrainConfig
from davae.core.runtime import Runtime
from davae.core.store import LOG
from davae.models.davae import DAVAE
from davae.models.dit import DiT
from davae.train.davae import davae_task
from davae.train.loop import Task, Trainer
from davae.train.transformer import Denoiser, LatentSet, transformer_task


def dit_trainer(dit: DiT, batch: int, folder: Path, runtime: Runtime) -> Trainer:
    """The training of a DiT on random latents, with EMA."""
    c = dit.config
    latents = torch.randn(4 * batch, c.in_channels, c.input_size, c.input_size)
    data = LatentSet(latents, torch.zeros(4 * batch).long())
    adapt = AdaptConfig() if c.detail_channels else None
    base = c.in_channels - c.detail_channels
    denoiser = Denoiser(dit, dit, base, c.detail_channels, c.num_classes)
    task = transformer_task(
        "adaptation", denoiser, data, {}, flow=FlowConfig(), dropout=0.1, seed=0, adapt=adapt
    )
    return Trainer(task, TrainConfig(batch_size=batch, ema_decay=0.999), runtime, folder)


def davae_trainer(model: DAVAE, batch: int, px: int, folder: Path, runtime: Runtime) -> Trainer:
    """The training of a DA-VAE on random images."""
    images = torch.randint(0, 256, (2 * batch, 3, px, px), dtype=torch.uint8)
    side = px // 2 ** (len(model.config.block_out_channels) - 1)
    latents = torch.randn(2 * batch, model.base_channels, side, side)
    task: Task = davae_task(model, images, latents, (images, latents), DetailConfig(), 0)
    return Trainer(task, TrainConfig(batch_size=batch), runtime, folder)


def bookkeeping(trainer: Trainer) -> Callable[[], None]:
    """Optimizer, EMA and log of a step whose gradients are there."""
    terms = trainer.task.step(0, trainer.batches.of(0))
    terms["loss"].backward()
    gradients = [p.grad for p in trainer.task.module.parameters()]
    line = {"step": 0, **{k: v.item() for k, v in terms.items()}}

    def run() -> None:
        for p, grad in zip(trainer.task.module.parameters(), gradients, strict=True):
            p.grad = grad
        with (trainer.folder / LOG).open("a") as log:
            trainer.update()
            trainer.write(log, None, line)

    return run


def batch_drawing(trainer: Trainer) -> Callable[[], object]:
    """The drawing of a step's batch."""
    steps = iter(range(1_000_000))
    return lambda: trainer.draw(next(steps))
