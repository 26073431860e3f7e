"""The text that sweeps write, as HTML: paragraphs, and tables that sort."""

from __future__ import annotations

import re

import pandas as pd
from markupsafe import Markup

from reports.html import folded, paragraph, table

FOLDED = 14
"""Tables of more rows are shown when asked for."""


def blocks(text: str, caption: str) -> list[Markup]:
    """Every block of a Markdown text of paragraphs and tables, in order."""
    found = []
    for block in re.split(r"\n\s*\n", text.strip()):
        if not block.startswith("|"):
            found.append(paragraph(block.replace("\n", " ").replace("**", "")))
            continue
        frame = frame_of(block)
        shown = table(frame, f"{caption}: {', '.join(frame.columns[:2])}")
        if len(frame) > FOLDED:
            summary = f"A table of {len(frame)} rows: {', '.join(frame.columns[:3])} …"
            shown = folded(summary, shown)
        found.append(shown)
    return found


def frame_of(block: str) -> pd.DataFrame:
    """A Markdown table."""
    lines = [
        [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split(" | ")]
        for line in block.splitlines()
    ]
    head, rows = lines[0], [line for line in lines[2:] if len(line) == len(lines[0])]
    return pd.DataFrame(rows, columns=pd.Index(head))
