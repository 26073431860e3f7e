"""The schedule of the detail channels' weight, w(n) (Eq. 12)."""

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
