"""The schedule of the detail channels' weight, w(n) (Eq. 12)."""

from __future__ import annotations

import math
from collections.abc import Callable


def _cosine(share: float) -> float:
    return (1.0 - math.cos(math.pi * share)) / 2.0


def _sigmoid(share: float) -> float:
    low, high, at = (1 / (1 + math.exp(-STEEPNESS * (x - 0.5))) for x in (0.0, 1.0, share))
    return (at - low) / (high - low)


STEEPNESS = 12.0
"""Of `sigmoid`: its slope in the middle is about three times that of `linear`."""
SHAPES: dict[str, Callable[[float], float]] = {
    "cosine": _cosine,
    "linear": lambda share: share,
    "sigmoid": _sigmoid,
    "step": lambda share: 0.0,
    "constant": lambda share: 1.0,
}
"""w by the share n / N_warm of the warm-up; after it w is 1."""


def detail_weight(step: int, warmup_steps: int, shape: str = "cosine") -> float:
    """w(n) in [0, 1] (Eq. 12): (1 - cos(pi n / N_warm)) / 2 for n < N_warm, then 1.

    Other shapes: `linear` n / N_warm; `sigmoid` a logistic curve through 0 and 1 at the ends;
    `step` 0 until N_warm; `constant` 1 from the first step."""
    if shape not in SHAPES:
        raise ValueError(f"schedule is {shape!r}; it is one of {', '.join(SHAPES)}")
    return 1.0 if step >= warmup_steps else SHAPES[shape](step / warmup_steps)
