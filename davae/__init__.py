"""DA-VAE: a reference implementation, an ablation suite and a benchmark suite.

The names of `__all__` are imported as they are first used, so that `import davae` is immediate.
"""

from __future__ import annotations

import importlib
from typing import Any

PLACES = {
    "DAVAE": "davae.models.davae",
    "DiT": "davae.models.dit",
    "widen": "davae.method.widen",
    "adapt": "davae.models.adapt",
    "attach": "davae.models.adapt",
    "fuse": "davae.method.fuse",
    "Experiment": "davae.core.experiment",
    "PRESETS": "davae.core.presets",
    "load_records": "davae.core.records",
}
"""Where each public name lives."""

__all__ = [
    "DAVAE",
    "PRESETS",
    "DiT",
    "Experiment",
    "adapt",
    "attach",
    "fuse",
    "load_records",
    "widen",
]


def __getattr__(name: str) -> Any:
    if name not in PLACES:
        raise AttributeError(
            f"module 'davae' has no attribute {name!r}; it has {', '.join(__all__)}"
        )
    return getattr(importlib.import_module(PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
