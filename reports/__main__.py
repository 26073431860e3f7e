"""`python -m reports [--results DIR] [--out DIR] [--readme | --compare A B | --paper DIR]`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from davae.cli.flags import switched_on
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
    """The page is OUT/index.html; its tables lie beside it in OUT/tables, its figures in
    OUT/figures."""
    readme: bool = False
    """Instead, write the generated tables of README.md and docs/ again."""
    check: bool = False
    """With --readme: write nothing, and fail where they are out of date."""
    compare: Annotated[tuple[Path, Path] | None, tyro.conf.arg(metavar="RESULTS_A RESULTS_B")] = (
        None
    )
    """Instead, write OUT/compare.html: two folders of results side by side."""
    paper: Path | None = None
    """Instead, write every table as LaTeX and every figure as PDF and SVG, as wide as the text of a
    page, into this folder."""


def main() -> int:
    """Parse, write the page and say where it is."""
    words = switched_on(sys.argv[1:], ("--readme", "--check"))
    options = tyro.cli(
        Options, prog="python -m reports", args=words, config=(tyro.conf.FlagConversionOff,)
    )

    def action() -> None:
        from reports.build import write
        from reports.compare import write_compared
        from reports.paper import write_paper
        from reports.readme import outdated, update

        asked = [name for name in ("readme", "compare", "paper") if getattr(options, name)]
        if len(asked) > 1:
            raise ValueError(f"--{' and --'.join(asked)}: give one of them")
        if options.check and not options.readme:
            raise ValueError("--check is for --readme; give both")
        if options.compare is not None:
            print(f"Comparison: {write_compared(*options.compare, options.out)}")
            return
        if options.paper is not None:
            files = write_paper(options.results, options.paper)
            print(f"For a paper: {len(files)} files in {options.paper}")
            return
        if options.check:
            old = [str(path) for path in outdated(options.results, Path.cwd())]
            if old:
                raise ValueError(f"out of date: {', '.join(old)}; run python -m reports --readme")
            print("All tables are current")
            return
        if options.readme:
            changed = [str(path) for path in update(options.results, Path.cwd())]
            print(f"Written again: {', '.join(changed) or 'nothing, all tables were current'}")
            return
        path = write(options.results, options.out)
        print(f"Report: {path} ({path.stat().st_size / 1e6:.1f} MB); open it in a browser")

    return guard(action)


if __name__ == "__main__":
    sys.exit(main())
