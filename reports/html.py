"""Pieces of the page: tables, pictures and figures. Everything from records is escaped."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from davae.analysis.tables import cell
from reports.svg import harmless

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
LONG = 16
"""Letters from which a cell is a text."""
FILTERED = 8
"""Tables of more rows get a field to filter them."""
WIDEST = 1400
"""Pixels that a picture is reduced to."""


def render(template: str, **values: Any) -> Markup:
    """A template of reports/templates, as HTML."""
    return Markup(TEMPLATES.get_template(template).render(**values))


def paragraph(text: str) -> Markup:
    """Text as a paragraph."""
    return Markup("<p>{}</p>").format(text)


def table(frame: pd.DataFrame, caption: str) -> Markup:
    """A table whose columns sort; one of many rows filters, too. Columns of numbers stand to the
    right, those of words to the left."""
    rows = [
        [{"text": cell(value), "sort": sort_key(value)} for value in line]
        for line in frame.itertuples(index=False)
    ]
    head = [{"text": str(name), "kind": kind_of(frame.iloc[:, i])} for i, name in enumerate(frame)]
    return render(
        "table.html.j2", caption=caption, head=head, rows=rows, filtered=len(rows) > FILTERED
    )


def kind_of(column: pd.Series) -> str:
    """The class of a column's cells: of numbers, short words or a text."""
    words = [v for v in column if isinstance(v, str) and v not in ("", "–") and not NUMBER.match(v)]
    if not words:
        return "number"
    return "text" if max(map(len, words)) > LONG else "word"


NUMBER = re.compile(r"-?\d[\d,]*(\.\d+)?(e[-+]?\d+)?(?=$|[\s(%])")


def sort_key(value: object) -> str:
    """What a cell sorts by: a number, or the one that its text starts with, as such, per cent as a
    share; everything else as text; gaps last."""
    if value is None or value == "–" or (isinstance(value, float) and pd.isna(value)):
        return ""
    if isinstance(value, (int, float)):
        return f"{value!r}"
    found = NUMBER.match(str(value))
    if not found:
        return str(value)
    number = found[0].replace(",", "")
    share = str(value)[found.end() :].startswith("%")
    return f"{float(number) / 100!r}" if share else number


def folded(summary: str, *parts: Markup) -> Markup:
    """Parts that are shown when asked for."""
    inner = Markup("\n").join(parts)
    return Markup("<details><summary>{}</summary>{}</details>").format(summary, inner)


def picture(path: Path, alt: str, caption: str = "") -> Markup:
    """A PNG, inlined, at most WIDEST pixels wide."""
    image = Image.open(path).convert("RGB")
    if image.width > WIDEST:
        image = image.resize((WIDEST, round(image.height * WIDEST / image.width)), Image.LANCZOS)
    return render(
        "picture.html.j2", source=encoded(image), alt=alt, caption=caption, width=image.width,
        height=image.height,
    )  # fmt: skip


def encoded(image: Image.Image) -> str:
    """A picture as a data URL: WebP without visible loss."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=88, method=6)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


@dataclass(frozen=True)
class Svg:
    """A drawn figure, its points named."""

    text: str
    """The file's content."""
    alt: str
    caption: str = ""


def figure(svg: Svg) -> Markup:
    """An SVG, inlined, with a text alternative; names of points stay as titles."""
    body = Markup(harmless(svg.text))
    return render("figure.html.j2", body=body, alt=svg.alt, caption=svg.caption)
