"""Sampling: integrating dx/dt = v(x, t) from noise (t = 0) to data (t = 1)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch

from davae.config import SampleConfig
from davae.flow import shift_time
from davae.models.dit import DiT

Velocity = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""v(x [B, ...], t []) -> [B, ...]."""


def time_grid(steps: int, shift: float) -> torch.Tensor:
    """steps + 1 shifted times from 0 to 1."""
    return shift_time(torch.linspace(0, 1, steps + 1, dtype=torch.float64), shift).float()


def euler(velocity: Velocity, x: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    """x + (t' - t) v(x, t) over the grid."""
    for t, after in pairwise(times):
        x = x + (after - t) * velocity(x, t)
    return x


def heun(velocity: Velocity, x: torch.Tensor, times: torch.Tensor) -> torch.Tensor:
    """The explicit trapezoidal rule: two evaluations a step, second order."""
    for t, after in pairwise(times):
        first = velocity(x, t)
        second = velocity(x + (after - t) * first, after)
        x = x + (after - t) * (first + second) / 2
    return x


SOLVERS = {"euler": euler, "heun": heun}


def guided(dit: DiT, labels: torch.Tensor, scale: float, interval: tuple[float, float]) -> Velocity:
    """Classifier-free guidance v_null + scale (v_y - v_null) on all channels, in one batch.

    Outside `interval` of t, and for scale 1, only the conditional velocity is computed. Labels are
    embedded once, and the time, which all samples share, once a step.
    """
    null = torch.full_like(labels, dit.config.num_classes)
    embedded = dit.y_embedder(torch.cat([labels, null]))

    def velocity(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        time = dit.t_embedder(t.to(x)[None])
        if scale == 1.0 or not interval[0] <= float(t) <= interval[1]:
            return dit.velocity(x, time, embedded[: len(x)]).to(x.dtype, copy=True)
        conditional, unconditional = dit.velocity(torch.cat([x, x]), time, embedded).to(x.dtype).chunk(2)
        return unconditional + scale * (conditional - unconditional)

    return velocity


@torch.no_grad()
def sample_latents(dit: DiT, noise: torch.Tensor, labels: torch.Tensor, config: SampleConfig) -> torch.Tensor:
    """Normalised latents [B, C + D, h, w] from noise of that shape and labels [B].

    The velocity is a new tensor at every call, so that a compiled network may reuse its output's memory.
    """
    velocity = guided(dit, labels, config.guidance_scale, config.guidance_interval)
    times = time_grid(config.num_inference_steps, config.timestep_shift)
    return SOLVERS[config.solver](velocity, noise, times)
