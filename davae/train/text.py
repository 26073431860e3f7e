"""Flow-matching training of a widened text-to-image transformer (Eq. 12 and 13), its text encoders frozen."""

from __future__ import annotations

from typing import Any

import torch

from davae import keyed
from davae.config import AdaptConfig, FlowConfig
from davae.flow import draw_time, interpolate, structured_loss
from davae.models.pipelines import encode_prompts, velocity
from davae.schedules import detail_weight
from davae.train.loop import Batch, Task, Terms

NULL = -1
"""The number of the empty prompt."""


def text_task(
    pipe: Any, latents: Any, captions: list[str], heldout: tuple[torch.Tensor, list[str]],
    flow: FlowConfig, prompt_dropout: float, seed: int, adapt: AdaptConfig,
) -> Task:  # fmt: skip
    """Eq. 13 on normalised latents [N, C + D, h, w] and their captions; `heldout` is such a pair, its loss logged.

    Prompts are encoded at every step: the embeddings of a data set do not fit on a disk (5 MB a prompt with T5).
    """
    base_channels = latents.shape[1] - pipe.transformer.config.detail_channels

    def batch(n: int, samples: list[int]) -> Batch:
        index = keyed.choose(seed, "adapt/data", n, samples, len(latents))
        x1 = latents[index]
        noise = keyed.normal(seed, "adapt/noise", n, samples, x1.shape[1:])
        t = draw_time(keyed.normal(seed, "adapt/time", n, samples, ()), flow)
        dropped = keyed.uniform(seed, "adapt/prompt", n, samples) < prompt_dropout
        return x1, noise, t, torch.where(dropped, NULL, torch.as_tensor(index))

    def loss(batch: Batch, prompts: list[str], weight: float) -> Any:
        x1, noise, t, _ = batch
        x_t, target = interpolate(x1, noise, t)
        prediction = velocity(pipe, x_t, t, encode_prompts(pipe, prompts)).float()
        return structured_loss(prediction, target, base_channels, weight)

    def step(n: int, batch: Batch) -> Terms:
        prompts = ["" if i == NULL else captions[i] for i in batch[3].tolist()]
        parts = loss(batch, prompts, detail_weight(n, adapt.detail_warmup_steps, adapt.schedule))
        return {"loss": parts.loss, "base": parts.base, "detail": parts.detail}

    def evaluate() -> dict[str, float]:
        x1, prompts = heldout
        samples = list(range(len(x1)))
        noise = keyed.normal(seed, "flow_loss/noise", 0, samples, x1.shape[1:])
        t = draw_time(keyed.normal(seed, "flow_loss/time", 0, samples, ()), flow)
        device = pipe.transformer.device
        total = torch.zeros(2)
        for i in samples:
            one: Batch = tuple(part[i : i + 1].to(device) for part in (x1, noise, t, t))
            parts = loss(one, prompts[i : i + 1], 1.0)
            total += torch.stack([parts.base, parts.detail]).cpu()
        base, detail = (total / len(x1)).tolist()
        return {"heldout_base": base, "heldout_detail": detail}

    return Task("adaptation", pipe.transformer, batch, step, evaluate, evaluations=8)
