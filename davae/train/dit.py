"""Flow-matching training of a DiT, base or widened (Eq. 12 and 13)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from davae import keyed
from davae.config import AdaptConfig, FlowConfig
from davae.flow import draw_time, interpolate, structured_loss
from davae.models.dit import DiT
from davae.schedules import detail_weight
from davae.train.loop import Batch, Task, Terms


@dataclass(frozen=True)
class LatentSet:
    """Normalised latents [N, C + D, h, w], a tensor or what is indexed as one, and labels [N]."""

    latents: Any
    labels: torch.Tensor

    def first(self, count: int) -> LatentSet:
        """The first `count` of them."""
        return LatentSet(self.latents[:count], self.labels[:count])


def dit_task(
    name: str,
    dit: DiT,
    data: LatentSet,
    checks: dict[str, LatentSet],
    flow: FlowConfig,
    class_dropout: float,
    seed: int,
    adapt: AdaptConfig | None = None,
) -> Task:
    """Eq. 13 with w(n) of `adapt`, or the plain flow loss where `adapt` is None.

    `checks` are sets whose loss, with fixed t and noise, is logged as held-out figures.
    """
    base_channels = dit.config.in_channels - dit.config.detail_channels
    null = dit.config.num_classes

    def batch(n: int, samples: list[int]) -> Batch:
        index = keyed.choose(seed, f"{name}/data", n, samples, len(data.latents))
        x1, y = data.latents[index], data.labels[index]
        noise = keyed.normal(seed, f"{name}/noise", n, samples, x1.shape[1:])
        t = draw_time(keyed.normal(seed, f"{name}/time", n, samples, ()), flow)
        y = torch.where(keyed.uniform(seed, f"{name}/label", n, samples) < class_dropout, null, y)
        return x1, noise, t, y

    def step(n: int, batch: Batch) -> Terms:
        x1, noise, t, y = batch
        x_t, target = interpolate(x1, noise, t)
        prediction = dit(x_t, t, y).float()
        weight = 1.0
        if adapt is not None:
            weight = detail_weight(n, adapt.detail_warmup_steps, adapt.schedule)
        parts = structured_loss(prediction, target, base_channels, weight)
        terms = {"loss": parts.loss, "base": parts.base}
        if dit.config.detail_channels:
            terms["detail"] = parts.detail
        if adapt is not None and adapt.cosine_weight:
            cosine = (1 - F.cosine_similarity(prediction, target, dim=1)).mean()
            terms = {**terms, "loss": parts.loss + adapt.cosine_weight * cosine, "cosine": cosine}
        return terms

    def evaluate() -> dict[str, float]:
        figures = {}
        for check, held in checks.items():
            parts = flow_loss(dit, held, flow, seed)
            figures[f"{check}_base"] = parts["base"]
            if dit.config.detail_channels:
                figures[f"{check}_detail"] = parts["detail"]
        return figures

    return Task(name, dit, batch, step, evaluate, evaluations=16 if adapt is None else 8)


@torch.no_grad()
def flow_loss(dit: DiT, data: LatentSet, flow: FlowConfig, seed: int, batch_size: int = 130) -> dict[str, float]:
    """Mean squared velocity error of base and detail channels, the same t and noise at every call."""
    device = next(dit.parameters()).device
    base_channels = dit.config.in_channels - dit.config.detail_channels
    total = torch.zeros(2)
    for start in range(0, len(data.latents), batch_size):
        x1, y = data.latents[start : start + batch_size], data.labels[start : start + batch_size]
        samples = list(range(start, start + len(x1)))
        noise = keyed.normal(seed, "flow_loss/noise", 0, samples, x1.shape[1:])
        t = draw_time(keyed.normal(seed, "flow_loss/time", 0, samples, ()), flow)
        x_t, target = interpolate(x1.to(device), noise.to(device), t.to(device))
        parts = structured_loss(dit(x_t, t.to(device), y.to(device)).float(), target, base_channels, 1.0)
        total += len(x1) * torch.stack([parts.base, parts.detail]).cpu()
    base, detail = (total / len(data.latents)).tolist()
    return {"base": base, "detail": detail}
