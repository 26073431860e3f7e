"""What a paper needs: every table as LaTeX, every figure as PDF and SVG."""

from __future__ import annotations

from pathlib import Path

from reports.build import folder_of
from reports.exports import write_files
from reports.results import read_results


def write_paper(top: Path, out: Path) -> list[Path]:
    """Write OUT/*.tex, *.pdf and *.svg from the results below `top`; the files, in order.

    Raises ValueError where there is nothing to write."""
    results = read_results(top)
    files = write_files(results, folder_of(out), out, "tex", ("pdf", "svg"))
    if not files:
        raise ValueError(
            f"nothing below {top} is a table or a figure: {'; '.join(results.problems)}"
        )
    return files
