"""A part of the page."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup

from reports.results import Results


@dataclass(frozen=True)
class Section:
    """A part of the page; a file of `reports/sections` that defines SECTION adds one."""

    order: int
    """Parts stand in this order."""
    name: str
    """Of its anchor."""
    title: str
    render: Callable[[Results], Markup | None]
    """Its HTML; None where the results hold nothing for it."""


def all_sections() -> list[Section]:
    """Every part, in order."""
    import reports.sections as package

    found = [
        importlib.import_module(f"reports.sections.{module.name}").SECTION
        for module in pkgutil.iter_modules(package.__path__)
    ]
    return sorted(found, key=lambda section: section.order)
