"""Weights over training steps: the detail weight w(n) of Eq. 12 and the learning rate."""

from __future__ import annotations

import math


def detail_weight(step: int, warmup_steps: int, shape: str = "cosine") -> float:
    """w(n) in [0, 1]: (1 - cos(pi n / N_warm)) / 2 for n < N_warm, then 1 (Eq. 12).

    `linear` rises as n / N_warm; `constant` is 1 from the first step.
    """
    if shape == "constant" or step >= warmup_steps:
        return 1.0
    if shape == "linear":
        return step / warmup_steps
    if shape == "cosine":
        return (1.0 - math.cos(math.pi * step / warmup_steps)) / 2.0
    raise ValueError(f"schedule is {shape!r}; it is cosine, linear or constant")


def lr_factor(step: int, steps: int, warmup_steps: int, shape: str) -> float:
    """Factor of the learning rate at `step` of `steps`: a linear warm-up, then constant or cosine."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if shape == "constant":
        return 1.0
    if shape == "cosine":
        progress = (step - warmup_steps) / max(1, steps - warmup_steps)
        return (1.0 + math.cos(math.pi * progress)) / 2.0
    raise ValueError(f"lr_schedule is {shape!r}; it is constant or cosine")
