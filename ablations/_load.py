"""Finding an ablation by name or file."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import ablations
from davae.core.extend import load_file
from davae.sweep.ablation import Ablation


def names() -> list[str]:
    """The ablations of this package."""
    modules = pkgutil.iter_modules(ablations.__path__)
    return sorted(m.name for m in modules if not m.name.startswith("_"))


def load(name: str) -> Ablation:
    """The `ABLATION` of a module here, or of a file; raises ValueError if there is none."""
    if name in names():
        return importlib.import_module(f"ablations.{name}").ABLATION
    path = Path(name)
    if path.suffix != ".py" or not path.is_file():
        listed = ", ".join(names())
        raise ValueError(f"there is no ablation {name!r}: name one of {listed}, or a .py file")
    module = load_file(path)
    if not hasattr(module, "ABLATION"):
        raise ValueError(f"{path} defines no ABLATION; see ablations/align_weight.py for the form")
    return module.ABLATION
