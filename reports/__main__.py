"""`python -m reports [--records DIR] [--out FILE]`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from davae.cli.guard import guard


@dataclass(frozen=True)
class Options:
    """Write a Markdown page of all records below a folder: runs, ablations, benchmarks, machine.

    Nothing is computed anew: tables come from records, pictures are those beside them.
    """

    records: Path = Path("runs")
    """Where records are looked for: what `davae run` and `python -m ablations` wrote, or
    results/<machine>."""
    out: Path | None = None
    """The page; the default is report.md in the records' folder."""


def main() -> int:
    """Parse, write the page and say where it is."""
    options = tyro.cli(Options, prog="python -m reports")

    def action() -> None:
        from reports.page import page

        out = options.out or options.records / "report.md"
        text = page(options.records, out)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)
        print(f"Report: {out}")

    return guard(action)


if __name__ == "__main__":
    sys.exit(main())
