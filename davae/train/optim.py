"""The learning rate over training."""

from __future__ import annotations

import math


def lr_factor(step: int, steps: int, warmup_steps: int, shape: str) -> float:
    """Factor of the learning rate at `step`: a linear warm-up, then constant or cosine."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if shape == "constant":
        return 1.0
    if shape == "cosine":
        progress = (step - warmup_steps) / max(1, steps - warmup_steps)
        return (1.0 + math.cos(math.pi * progress)) / 2.0
    raise ValueError(f"lr_schedule is {shape!r}; it is constant or cosine")
