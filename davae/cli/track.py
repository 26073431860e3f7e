"""`davae track`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tyro

from davae.cli.guard import guard, say

MARGINS = Path("benchmarks/margins.toml")
COUNTED = Path("results/cpu-2core/counters.json")
NOISE = Path("results/cpu-2core/noise.json")


@dataclass(frozen=True)
class PairedOptions:
    """Time two revisions in pairs, in fresh processes, and say whether the head is slower.

    Four processes live at a time and take turns: a case must fit into the memory four times. Exit
    codes: 0 ok, 1 regression, 2 an error, 3 inconclusive, 4 invalid, 5 no baseline."""

    base: str
    """The revision to compare with, a commit, branch or tag."""
    head: str = "HEAD"
    """The revision that is judged."""
    cases: tuple[str, ...] = ()
    """Names of scenarios (benchmarks/scenarios.py); empty: those of benchmarks/margins.toml."""
    pairs: int = 8
    """Pairs of a set, an even number from 6 on; a set that is not ok is followed by a second."""
    summary: Path | None = None
    """A Markdown file to write the table to, for a pull request."""


@dataclass(frozen=True)
class CompareOptions:
    """Compare two files of pytest --benchmark-json: counts exactly, times where one machine made
    both.

    The times of two files were not taken in pairs: what the machine did in between lies on them.
    `davae track paired` is the judge of speed. A case that the head file lacks is invalid. Exit
    codes: 0 ok, 1 regression, 2 an error, 3 inconclusive, 4 invalid, 5 no baseline."""

    base: Annotated[Path, tyro.conf.Positional]
    """The file to compare with."""
    head: Annotated[Path, tyro.conf.Positional]
    """The file that is judged."""
    summary: Path | None = None
    """A Markdown file to write the table to."""


@dataclass(frozen=True)
class CounterOptions:
    """Compare work counters exactly: this tree's with the committed ones, or two revisions'.

    Half a minute a tree, and no clock. Exit codes: 0 ok, 1 a difference, 2 an error, 4 another
    version of torch, 5 nothing to compare with."""

    base: str = str(COUNTED)
    """A file of counters, or a revision."""
    head: str = ""
    """A revision; empty: this tree as it is."""
    cases: tuple[str, ...] = ()
    """Names of scenarios; empty: all that are not compiled."""
    write: bool = False
    """Replace the file by the counters of the head, to be committed with the reason."""
    summary: Path | None = None
    """A Markdown file to write the differences to."""


@dataclass(frozen=True)
class HistoryOptions:
    """Look for lasting steps in the cases of a folder of benchmark files, oldest first.

    Times are taken in units of the machine's own product in the same file, so that a slower host
    is no step. Exit codes: 0 none, 1 a case has become slower within `recent` points and is still
    so."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Files of pytest --benchmark-json."""
    least: float = 0.05
    """Steps below this share are not reported."""
    recent: int = 10
    """Older steps are reported and do not count for the exit code."""
    out: Path = Path("runs/history.png")
    """The plot."""


@dataclass(frozen=True)
class NoiseOptions:
    """Measure what pairs of this tree with itself scatter by, and with it how often `davae track
    paired` errs: its false alarms, and the slowdowns that it finds.

    Pairs are kept in the file after every two; a second call goes on."""

    cases: tuple[str, ...] = ()
    """Names of scenarios; empty: those of benchmarks/margins.toml."""
    measured: int = 20
    """Pairs to measure a case; those in the file count."""
    pairs: int = 8
    """Pairs of a simulated comparison's set."""
    slowdowns: tuple[float, ...] = (0.06, 0.10)
    """Simulated shares."""
    file: Path = NOISE
    """Where the pairs are kept; the table of rates lies beside it as .csv."""
    summary: Path | None = None
    """A Markdown file to write the table to."""


Options = (
    Annotated[CompareOptions, tyro.conf.subcommand("compare")]
    | Annotated[PairedOptions, tyro.conf.subcommand("paired")]
    | Annotated[CounterOptions, tyro.conf.subcommand("counters")]
    | Annotated[HistoryOptions, tyro.conf.subcommand("history")]
    | Annotated[NoiseOptions, tyro.conf.subcommand("noise")]
)


def run(argv: list[str]) -> int:
    """Entry point."""
    options = tyro.cli(Options, prog="davae track", args=argv)
    code = 0

    def action() -> None:
        nonlocal code
        acts: dict[type, Callable[..., int]] = {
            CompareOptions: compare, PairedOptions: paired, CounterOptions: counters,
            HistoryOptions: history, NoiseOptions: noise,
        }  # fmt: skip
        try:
            code = acts[type(options)](options)
        except (OSError, RuntimeError) as error:  # 1 would say that there is a regression
            raise ValueError(str(error)) from error

    return guard(action, "no verdict") or code


def compare(options: CompareOptions) -> int:
    """Compare two files; returns the exit code."""
    from davae.track.compare import compare_files, read_file
    from davae.track.margins import read_margins
    from davae.track.summary import file_table
    from davae.track.verdict import EXIT_CODES, Verdict, worst

    if not options.head.exists():
        raise ValueError(f"there is no {options.head}, the file that is judged")
    if not options.base.exists():
        report(f"**{Verdict.NO_BASELINE}**\n\nThere is no {options.base}.", options.summary)
        return EXIT_CODES[Verdict.NO_BASELINE]
    found, unlike = compare_files(
        read_file(options.base), read_file(options.head), read_margins(MARGINS)
    )
    verdict = worst([comparison.verdict for comparison in found])
    report(file_table(found, unlike, verdict), options.summary)
    return EXIT_CODES[verdict]


def paired(options: PairedOptions) -> int:
    """Compare two revisions; returns the exit code."""
    from davae.track import paired as pairing
    from davae.track.margins import read_margins
    from davae.track.summary import paired_table
    from davae.track.verdict import EXIT_CODES, LEAST_PAIRS, Verdict, worst

    if options.pairs < LEAST_PAIRS or options.pairs % 2:
        raise ValueError(f"--pairs {options.pairs}: an even number from {LEAST_PAIRS} on")
    margins = read_margins(MARGINS)
    changed = pairing.changed_dependencies(options.base, options.head)
    if changed:
        why = f"{', '.join(changed)} differ, so that other packages may be measured"
        report(f"**{Verdict.INVALID}**\n\n{why}", options.summary)
        return EXIT_CODES[Verdict.INVALID]
    found = []
    with pairing.tree_of(options.head) as head, pairing.tree_of(options.base, head) as base:
        cases = known_cases(options.cases or margins.paired, head)
        processes = pairing.Processes({"base": base, "head": head})
        for case in cases:
            say(f"{case}: {options.pairs} pairs")
            block, limit = partial(processes.block, case), margins.of(case)
            comparison = pairing.compare_case(case, block, limit=limit, pairs=options.pairs)
            say(f"{case}: {comparison.verdict}")
            found.append(comparison)
    verdict = worst([comparison.verdict for comparison in found])
    report(paired_table(found, options.base, options.head, verdict), options.summary)
    return EXIT_CODES[verdict]


def known_cases(names: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    """The names themselves; raises ValueError for one that is no scenario of the folder's tree."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scenarios"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise ValueError(f"the scenarios could not be read: {last_line(done.stderr)}")
    there = done.stdout.split()
    unknown = [name for name in names if name not in there]
    if unknown:
        raise ValueError(
            f"there is no scenario {', '.join(unknown)} in what is measured (of a revision: as "
            f"committed); scenarios: {', '.join(there)}"
        )
    return names


def last_line(text: str) -> str:
    """The last line, which holds a traceback's message."""
    return (text.strip().splitlines() or ["it ended without a message"])[-1]


def counters(options: CounterOptions) -> int:
    """Compare this tree's counters; returns the exit code."""
    from davae.track.counters import compare, read_counters
    from davae.track.paired import tree_of
    from davae.track.summary import SHOWN, counter_summary
    from davae.track.verdict import EXIT_CODES, Verdict

    file = Path(options.base)
    if options.write and file.suffix != ".json":
        raise ValueError(f"--write --base {file}: name the .json file to write, not a revision")
    before = None
    with tree_of(options.head) if options.head else nullcontext(Path.cwd()) as head:
        after = counted(head, options.cases)
        if not options.write and file.suffix != ".json":
            with tree_of(options.base, head) as base:
                try:
                    before = counted(base, options.cases)
                except ValueError as error:
                    report(f"**{Verdict.NO_BASELINE}**\n\n{error}", options.summary)
                    return EXIT_CODES[Verdict.NO_BASELINE]
    if options.write:
        if options.cases and file.exists():
            after["cases"] = {**read_counters(file)["cases"], **after["cases"]}
        file.write_text(json.dumps(after, indent=1) + "\n")
        say(f"written: {file}; commit it with the reason")
        return 0
    if before is None and not file.exists():
        say(f"no baseline: there is no {file}; make it by --write")
        return EXIT_CODES[Verdict.NO_BASELINE]
    old = read_counters(file) if before is None else before
    verdict, reasons = compare(old, after, whole=not options.cases)
    say(f"{len(after['cases'])} cases counted\n\n{counter_summary(verdict, reasons)}")
    if options.summary is not None:
        options.summary.write_text(counter_summary(verdict, reasons, SHOWN) + "\n")
    return EXIT_CODES[verdict]


def counted(folder: Path, cases: tuple[str, ...]) -> dict[str, Any]:
    """The counters of the package and the scenarios in a folder."""
    say(f"counting {', '.join(cases) or 'every case'}")
    command = [sys.executable, "-m", "benchmarks.counters", *cases]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"the scenarios could not be counted: {last_line(done.stderr)}")
    return json.loads(done.stdout)


def history(options: HistoryOptions) -> int:
    """Look for steps; returns the exit code."""
    from davae.analysis.bench_plots import history_figure
    from davae.track.history import read_history, steps
    from davae.track.summary import steps_table
    from davae.track.verdict import EXIT_CODES, Verdict

    series = read_history(options.folder)
    found = steps(series, options.least)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    history_figure(options.out, series, [(step.case, step.revision) for step in found])
    say(f"{steps_table(found)}\nPlot: {options.out}")
    slower = any(s.factor > 1 and s.lasts and s.ago <= options.recent for s in found)
    return EXIT_CODES[Verdict.REGRESSION if slower else Verdict.OK]


def noise(options: NoiseOptions) -> int:
    """Measure what is missing, and print the error rates."""
    from davae.analysis.tables import to_markdown
    from davae.track.margins import read_margins
    from davae.track.paired import Processes
    from davae.track.power import measure_noise, power_table, read_noise

    margins, here = read_margins(MARGINS), Path.cwd()
    cases = known_cases(options.cases or margins.paired, here)
    processes = Processes({"base": here, "head": here})
    for case, count in measure_noise(options.file, cases, options.measured, processes):
        say(f"{case}: {count} of {options.measured} pairs")
    kept = read_noise(options.file)
    limits = {case: margins.of(case) for case in kept["cases"]}
    table = power_table(kept, limits, options.pairs, options.slowdowns)
    table.to_csv(options.file.with_suffix(".csv"), index=False)
    report(to_markdown(table), options.summary)
    return 0


def report(text: str, path: Path | None) -> None:
    """Print a summary, and write it where a file is named."""
    say(text)
    if path is not None:
        path.write_text(text + "\n")
