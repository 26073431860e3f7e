"""`davae track`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from davae.cli.guard import guard, say

MARGINS = Path("benchmarks/margins.toml")
COUNTED = Path("results/cpu-2core/counters.json")


@dataclass(frozen=True)
class PairedOptions:
    """Time two revisions in pairs, in fresh processes, and say whether the head is slower.

    Exit codes: 0 ok, 1 regression, 3 inconclusive, 4 invalid."""

    base: str
    """The revision to compare with, a commit, branch or tag."""
    head: str = "HEAD"
    """The revision that is judged."""
    cases: tuple[str, ...] = ()
    """Names of scenarios (benchmarks/scenarios.py); empty: those of benchmarks/margins.toml."""
    pairs: int = 10
    """Pairs of a set, an even number from 6 on; a set that is not ok is followed by a second."""
    summary: Path | None = None
    """A Markdown file to write the table to, for a pull request."""


@dataclass(frozen=True)
class CounterOptions:
    """Compare the work counters of this tree exactly with the committed ones: seconds, no clock.

    Exit codes: 0 ok, 1 a difference, 4 another version of torch, 5 nothing to compare with."""

    base: Path = COUNTED
    """Counters to compare with."""
    write: bool = False
    """Replace them by this tree's, to be committed with the reason."""
    summary: Path | None = None
    """A Markdown file to write the differences to."""


@dataclass(frozen=True)
class HistoryOptions:
    """Look for lasting steps in the cases of a folder of benchmark files, oldest first.

    Times are taken in units of the machine's own product in the same file, so that a slower host
    is no step. Exit codes: 0 none or faster ones only, 1 a case has become slower."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Files of pytest --benchmark-json."""
    least: float = 0.05
    """Steps below this share are not reported."""
    out: Path = Path("runs/history.png")
    """The plot."""


Options = (
    Annotated[PairedOptions, tyro.conf.subcommand("paired")]
    | Annotated[CounterOptions, tyro.conf.subcommand("counters")]
    | Annotated[HistoryOptions, tyro.conf.subcommand("history")]
)


def run(argv: list[str]) -> int:
    """Entry point."""
    options = tyro.cli(Options, prog="davae track", args=argv)
    code = 0

    def action() -> None:
        nonlocal code
        acts: dict[type, Callable[..., int]] = {
            PairedOptions: paired, CounterOptions: counters, HistoryOptions: history
        }  # fmt: skip
        code = acts[type(options)](options)

    return guard(action, "no verdict") or code


def paired(options: PairedOptions) -> int:
    """Compare two revisions; returns the exit code."""
    import tomllib

    from davae.track import paired as pairing
    from davae.track.summary import paired_table
    from davae.track.verdict import EXIT_CODES, Verdict, worst

    settings = tomllib.loads(MARGINS.read_text())
    changed = pairing.changed_dependencies(options.base, options.head)
    if changed:
        say(f"invalid: {', '.join(changed)} differ, so that other packages may be measured")
        return EXIT_CODES[Verdict.INVALID]
    found = []
    with pairing.two_trees(options.base, options.head) as sides:
        for case in options.cases or settings["cases"]:
            margin = settings["margins"].get(case, settings["default"])

            def seconds(side: pairing.Side, case: str = case) -> float:
                return pairing.fresh_process(case, sides[side])

            say(f"{case}: {options.pairs} pairs")
            comparison = pairing.compare_case(case, seconds, margin=margin, pairs=options.pairs)
            say(f"{case}: {comparison.verdict}")
            found.append(comparison)
    verdict = worst([comparison.verdict for comparison in found])
    report(paired_table(found, options.base, options.head, verdict), options.summary)
    return EXIT_CODES[verdict]


def counters(options: CounterOptions) -> int:
    """Compare this tree's counters; returns the exit code."""
    from davae.track.counters import compare
    from davae.track.summary import counter_summary
    from davae.track.verdict import EXIT_CODES, Verdict

    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.counters"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ValueError(f"the scenarios could not be counted: {done.stderr.strip()[-500:]}")
    if options.write:
        options.base.write_text(done.stdout)
        say(f"written: {options.base}; commit it with the reason")
        return 0
    if not options.base.exists():
        say(f"no baseline: there is no {options.base}; make it by --write")
        return EXIT_CODES[Verdict.NO_BASELINE]
    verdict, reasons = compare(json.loads(options.base.read_text()), json.loads(done.stdout))
    report(counter_summary(verdict, reasons), options.summary)
    return EXIT_CODES[verdict]


def history(options: HistoryOptions) -> int:
    """Look for steps; returns the exit code."""
    from davae.analysis.plots import history_figure
    from davae.track.history import read_history, steps
    from davae.track.summary import steps_table
    from davae.track.verdict import EXIT_CODES, Verdict

    series = read_history(options.folder)
    found = steps(series, options.least)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    history_figure(options.out, series, [(step.case, step.revision) for step in found])
    say(f"{steps_table(found)}\nPlot: {options.out}")
    slower = any(step.factor > 1 for step in found)
    return EXIT_CODES[Verdict.REGRESSION if slower else Verdict.OK]


def report(text: str, path: Path | None) -> None:
    """Print a summary, and write it where a file is named."""
    say(text)
    if path is not None:
        path.write_text(text + "\n")
