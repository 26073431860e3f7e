"""The page from a folder of results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from reports.exports import write_files
from reports.html import render
from reports.results import Results, read_results
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
    return page_of(read_results(top))


def page_of(results: Results) -> str:
    """The page of results that are read."""
    parts = []
    for section in all_sections():
        body = results.tried(results.top / section.name, section.render, results)
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
    """Write OUT/index.html, whose path is returned, and its tables and figures as files.

    Raises ValueError where OUT cannot be written to."""
    results = read_results(top)
    path = folder_of(out) / "index.html"
    write_files(results, out / "tables", out / "figures", "csv", ("svg", "png"))
    path.write_text(page_of(results))
    return path


def folder_of(out: Path) -> Path:
    """The folder, made where it is not there; raises ValueError where it cannot be."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{out} cannot be a folder to write to: {error}") from error
    return out
