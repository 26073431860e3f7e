"""Sampling: integrating dx/dt = v(x, t) from noise (t = 0) to data (t = 1), on callables."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch

from davae.method.flow import by_group, lagged_times, shift_time

Velocity = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""v(x [B, ...], t []) -> [B, ...]; t is [2], of base and detail, where the detail lags behind."""


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


def guided(
    both: Velocity, conditional: Velocity, scale: float, interval: tuple[float, float] = (0.0, 1.0)
) -> Velocity:
    """Classifier-free guidance v_null + scale (v_y - v_null) on all channels.

    both: velocities of [x, x], the first half with the condition and the second without. Outside
    `interval` of t, and for scale 1, only the conditional velocity is computed.
    """

    def velocity(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        if scale == 1.0 or not interval[0] <= float(t if t.ndim == 0 else t[0]) <= interval[1]:
            return conditional(x, t)
        with_condition, without = both(torch.cat([x, x]), t).chunk(2)
        return without + scale * (with_condition - without)

    return velocity


def guided_forwards(scale: float) -> int:
    """Forwards a step: 2 under guidance."""
    return 1 if scale == 1.0 else 2


@torch.no_grad()
def integrate(
    velocity: Velocity, noise: torch.Tensor, steps: int, shift: float = 1.0, solver: str = "euler"
) -> torch.Tensor:
    """Data from noise [B, ...] over `steps` steps of the shifted grid, by one of SOLVERS."""
    return SOLVERS[solver](velocity, noise, time_grid(steps, shift))


@torch.no_grad()
def integrate_lagged(
    velocity: Velocity,
    noise: torch.Tensor,
    steps: int,
    shift: float,
    lag: float,
    base_channels: int,
) -> torch.Tensor:
    """`integrate` by Euler's rule with the detail `lag` behind the base, as many forwards: each
    channel group moves by its own times, which the velocity is given."""
    x = noise
    for times, after in pairwise(lagged_times(time_grid(steps, shift), lag)):
        x = x + by_group(after - times, base_channels, x).to(x) * velocity(x, times)
    return x
