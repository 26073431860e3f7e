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
    if path.suffix != ".py":
        listed = ", ".join(names())
        raise ValueError(f"there is no ablation {name!r}: name one of {listed}, or a .py file")
    module = load_file(path)
    found = getattr(module, "ABLATION", None)
    if not isinstance(found, Ablation):
        was = f"; its ABLATION is a {type(found).__name__}" if found is not None else ""
        raise ValueError(
            f"{path} defines no ABLATION = Ablation(...){was}; see ablations/align_weight.py for "
            "the form"
        )
    return found


class Loaded:
    """An ablation by its name or file, which a process reads once: a file that is changed while its
    sweep runs changes nothing there."""

    def __init__(self, name: str):
        self.name = name
        self.found: Ablation | None = None

    def __call__(self) -> Ablation:
        if self.found is None:
            self.found = load(self.name)
        return self.found

    def __reduce__(self) -> tuple[type[Loaded], tuple[str]]:
        return Loaded, (self.name,)
