"""`python -m reports [--results DIR] [--out DIR]`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from davae.cli.guard import guard


@dataclass(frozen=True)
class Options:
    """Write one self-contained page of all results below a folder: runs, ablations, benchmarks,
    machines.

    Nothing is computed anew: tables come from records, figures and pictures are those beside them.
    The page needs no network and opens from the file system."""

    results: Path = Path("results")
    """Where records are looked for: results/, or runs/ with what was made here."""
    out: Path = Path("runs/report")
    """The page is OUT/index.html."""


def main() -> int:
    """Parse, write the page and say where it is."""
    options = tyro.cli(Options, prog="python -m reports")

    def action() -> None:
        from reports.build import write

        path = write(options.results, options.out)
        print(f"Report: {path} ({path.stat().st_size / 1e6:.1f} MB); open it in a browser")

    return guard(action)


if __name__ == "__main__":
    sys.exit(main())
