"""A model of one's own, by import path."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def made(model: str, batch: int, device: str) -> tuple[Callable[..., Any], dict[str, Any]]:
    """(network, its arguments by name): what `factory(batch, device)` of `pkg.module:factory`
    gives.

    Raises ValueError where there is no such factory, or where it gives something else."""
    module, _, name = model.partition(":")
    form = f"--model {model}: give pkg.module:factory, importable from here"
    if not name:
        raise ValueError(form)
    try:
        factory = getattr(importlib.import_module(module), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise ValueError(f"{form} ({error})") from error
    both = factory(batch, device)
    if not (isinstance(both, tuple) and len(both) == 2 and isinstance(both[1], dict)):
        raise ValueError(
            f"--model {model}: the factory gave a {type(both).__name__}; it gives (network, its "
            "arguments by name, a dict)"
        )
    return both
