"""Flow-matching training of a transformer, base or widened (Eq. 12 and 13), whatever its condition
is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from davae.core import keyed
from davae.core.experiment import AdaptConfig, FlowConfig
from davae.method.flow import (
    cosine_loss,
    draw_time,
    interpolate,
    interpolate_lagged,
    lagged_times,
    min_snr_weight,
    structured_loss,
)
from davae.method.schedule import detail_weight
from davae.train.batches import Batch, chosen
from davae.train.loop import Task, Terms

Conditional = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""v(x_t [B, C + D, h, w], t [B], condition [B]) -> like x_t; a condition is the number of a class
or a prompt."""


@dataclass(frozen=True)
class LatentSet:
    """Normalised latents [N, C + D, h, w], a tensor or what is indexed as one, and their conditions
    [N]."""

    latents: Any
    conditions: torch.Tensor

    def first(self, count: int) -> LatentSet:
        """The first `count` of them."""
        return LatentSet(self.latents[:count], self.conditions[:count])


@dataclass(frozen=True)
class Denoiser:
    """What is trained, as the loss sees it."""

    module: nn.Module
    velocity: Conditional
    base_channels: int
    detail_channels: int
    null: int
    """The condition that stands for none."""
    check_batch: int = 130
    """Held-out samples whose loss is computed at once."""

    @property
    def device(self) -> torch.device:
        """Where its parameters are."""
        return next(self.module.parameters()).device


def transformer_task(
    name: str, denoiser: Denoiser, data: LatentSet, checks: dict[str, LatentSet], *,
    flow: FlowConfig, dropout: float, seed: int, adapt: AdaptConfig | None = None,
    epochs: bool = False,
) -> Task:  # fmt: skip
    """Eq. 13 with w(n) of `adapt`, or the plain flow loss where `adapt` is None.

    dropout: probability that training replaces the condition by the null one; epochs: as of
    TrainConfig. `checks` are sets
    whose loss, with fixed t and noise, is logged as held-out figures."""

    lags = adapt.detail_lag if adapt is not None else (0.0, 0.0)

    def batch(n: int, samples: list[int]) -> Batch:
        index = chosen(epochs, seed, f"{name}/data", n, samples, len(data.latents))
        x1, condition = data.latents[index], data.conditions[index]
        noise = keyed.normal(seed, f"{name}/noise", n, samples, x1.shape[1:])
        t = draw_times(keyed.normal(seed, f"{name}/time", n, samples, ()), flow)
        if any(lags):
            drawn = keyed.uniform(seed, f"{name}/lag", n, samples)
            t = lagged_times(t, lags[0] + drawn * (lags[1] - lags[0]))
        dropped = keyed.uniform(seed, f"{name}/label", n, samples) < dropout
        return x1, noise, t, torch.where(dropped, denoiser.null, condition)

    def step(n: int, batch: Batch) -> Terms:
        x1, noise, t, condition = batch
        x_t, target = noised(x1, noise, t, denoiser.base_channels)
        prediction = denoiser.velocity(x_t, t, condition).float()
        weight = (
            1.0 if adapt is None else detail_weight(n, adapt.detail_warmup_steps, adapt.schedule)
        )
        of_sample = None
        if adapt is not None and adapt.min_snr_gamma:
            of_sample = min_snr_weight(t if t.ndim == 1 else t[:, 0], adapt.min_snr_gamma)
        parts = structured_loss(prediction, target, denoiser.base_channels, weight, of_sample)
        terms = {"loss": parts.loss, "base": parts.base}
        if denoiser.detail_channels:
            terms["detail"] = parts.detail
        if adapt is not None and adapt.cosine_weight:
            cosine = cosine_loss(prediction, target)
            terms = {**terms, "loss": parts.loss + adapt.cosine_weight * cosine, "cosine": cosine}
        return terms

    def evaluate() -> dict[str, float]:
        figures = {}
        for check, held in checks.items():
            losses = flow_loss(denoiser, held, flow, seed, sum(lags) / 2)
            figures[f"{check}_base"] = losses["base"]
            if denoiser.detail_channels:
                figures[f"{check}_detail"] = losses["detail"]
        return figures

    return Task(
        name, denoiser.module, batch, step, evaluate, evaluations=16 if adapt is None else 8
    )


def draw_times(normal: torch.Tensor, flow: FlowConfig) -> torch.Tensor:
    """t of training under the config, from standard normal numbers [B]."""
    return draw_time(normal, flow.t_mean, flow.t_std, flow.timestep_shift)


def noised(
    x1: torch.Tensor, noise: torch.Tensor, t: torch.Tensor, base_channels: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """(x_t, u) at t [B], or at times of base and detail [B, 2]."""
    if t.ndim == 1:
        return interpolate(x1, noise, t)
    return interpolate_lagged(x1, noise, t, base_channels)


@torch.no_grad()
def flow_loss(
    denoiser: Denoiser, data: LatentSet, flow: FlowConfig, seed: int, lag: float = 0.0
) -> dict[str, float]:
    """Mean squared velocity error of base and detail channels, always at one t, lag and noise."""
    total = torch.zeros(2)
    for start in range(0, len(data.latents), denoiser.check_batch):
        part = slice(start, start + denoiser.check_batch)
        x1, condition = data.latents[part], data.conditions[part]
        samples = list(range(start, start + len(x1)))
        noise = keyed.normal(seed, "flow_loss/noise", 0, samples, x1.shape[1:])
        t = draw_times(keyed.normal(seed, "flow_loss/time", 0, samples, ()), flow)
        t = lagged_times(t, lag) if lag else t
        x1, noise, t, condition = (v.to(denoiser.device) for v in (x1, noise, t, condition))
        x_t, target = noised(x1, noise, t, denoiser.base_channels)
        prediction = denoiser.velocity(x_t, t, condition).float()
        parts = structured_loss(prediction, target, denoiser.base_channels, 1.0)
        total += len(x1) * torch.stack([parts.base, parts.detail]).cpu()
    base, detail = (total / len(data.latents)).tolist()
    return {"base": base, "detail": detail}
