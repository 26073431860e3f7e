"""The page from a folder of results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from reports.html import render
from reports.results import read_results
from reports.section import all_sections

TEMPLATES = Path(__file__).parent / "templates"
LEAD = (
    "A reference implementation of the Detail-Aligned VAE (CVPR 2026) with its ablations and "
    "benchmarks. Everything on this page comes from records; what is published and what was "
    "measured here are kept apart."
)


def page(top: Path) -> str:
    """The whole page as HTML; what is missing is said on it.

    Raises ValueError where `top` is no folder."""
    results = read_results(top)
    parts = []
    for section in all_sections():
        body = results.tried(top / section.name, section.render, results)
        if body is not None:
            parts.append({"name": section.name, "title": section.title, "body": body})
    return whole(LEAD, parts, results.problems)


def whole(lead: str, parts: list[dict[str, Any]], problems: list[str]) -> str:
    """The page of these parts, {name, title, body} each, style and script inlined."""
    style, script = ((TEMPLATES / name).read_text() for name in ("style.css", "page.js"))
    return render(
        "page.html.j2", lead=lead, parts=parts, problems=problems, style=Markup(style),
        script=Markup(script),
    )  # fmt: skip


def write(top: Path, out: Path) -> Path:
    """Write OUT/index.html; returns its path."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "index.html"
    path.write_text(page(top))
    return path
