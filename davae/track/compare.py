"""Two benchmark files, case by case: counts exactly, times where one machine made both.

Times of two files were not taken in pairs, so that all that the machine did in between lies on
them; the rates of its own products, which both files hold, are the control.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student
from scipy.stats import trim_mean
from scipy.stats.mstats import winsorize

from davae.track.margins import Limit, Margins
from davae.track.verdict import CONFIDENCE, TRIMMED, Change, Verdict, judge

WORKLOAD = ("params", "tokens", "channels", "images", "steps")
"""Columns that say what is done: with others it is another case of the same name."""
WORK = ("cfg_forwards", "flops_forward", "flops_closed_form")
"""Columns that say how much is computed for it; less is better, more is a regression."""
CONTROLS = ("matmul_flops_per_second", "convolution_flops_per_second")
AGREE = 0.05
"""The machine's own rates may differ by this share between the files."""


@dataclass(frozen=True)
class FileComparison:
    """A case of two files."""

    case: str
    verdict: Verdict
    reason: str = ""
    change: Change | None = None
    """None where no times are compared."""


def read_file(path: Path) -> dict[str, Any]:
    """A file of pytest-benchmark; raises ValueError for anything else."""
    content = json.loads(path.read_text())
    if not isinstance(content, dict) or not {"benchmarks", "machine_info"} <= content.keys():
        raise ValueError(f"{path} was not written by pytest --benchmark-json")
    if "davae" not in content["machine_info"]:
        raise ValueError(f"{path} is of another suite: `machine_info` says nothing of davae")
    content["benchmarks"] += content.get("failed", [])
    return content


def unlike(base: dict[str, Any], head: dict[str, Any]) -> list[str]:
    """What keeps the times of two files from being compared: machine, versions, or the machine's
    own rates."""
    one, other = (file["machine_info"]["davae"] for file in (base, head))
    found = [
        f"{what} {one['machine'].get(what)} and {other['machine'].get(what)}"
        for what in sorted(one["machine"].keys() | other["machine"].keys())
        if one["machine"].get(what) != other["machine"].get(what)
    ]
    torch = [about["versions"].get("torch") for about in (one, other)]
    if torch[0] != torch[1]:
        found.append(f"torch {torch[0]} and {torch[1]}")
    for name in CONTROLS:
        change = other[name] / one[name] - 1
        if abs(change) > AGREE:
            found.append(f"the machine's own {name} changed by {change:+.0%}")
    return found


def unpaired(base: list[float], head: list[float]) -> Change:
    """The change of the trimmed mean of log times, by Yuen's interval (1974)."""
    logs = [np.log(np.asarray(times, np.float64)) for times in (base, head)]
    means = [trim_mean(x, TRIMMED) for x in logs]
    kept = [len(x) - 2 * int(TRIMMED * len(x)) for x in logs]
    errors = [
        (len(x) - 1) * float(np.var(np.asarray(winsorize(x, (TRIMMED, TRIMMED))), ddof=1))
        / (n * (n - 1))
        for x, n in zip(logs, kept, strict=True)
    ]  # fmt: skip
    estimate, variance = float(means[1] - means[0]), sum(errors)
    if variance == 0:
        return Change(estimate, estimate, estimate, min(len(base), len(head)))
    freedom = variance**2 / sum(e**2 / (n - 1) for e, n in zip(errors, kept, strict=True))
    half = float(student.ppf(0.5 + CONFIDENCE / 2, freedom)) * math.sqrt(variance)
    return Change(estimate, estimate - half, estimate + half, min(len(base), len(head)))


def compare_case(
    name: str, base: dict[str, Any] | None, head: dict[str, Any] | None, limit: Limit, timed: bool
) -> FileComparison:
    """One case; base and head are entries of `benchmarks`, None where a file lacks it."""
    if base is None:
        return FileComparison(name, Verdict.NO_BASELINE, "not in the base file")
    if head is None:
        return FileComparison(name, Verdict.INVALID, "not in the head file")
    before, after = base["extra_info"], head["extra_info"]
    if after.get("status") == "failed":
        return FileComparison(name, Verdict.REGRESSION, f"fails: {after['error']}")
    if before.get("status") == "failed":
        return FileComparison(name, Verdict.NO_BASELINE, "failed in the base file")
    others = changed(before, after, WORKLOAD)
    if others:
        return FileComparison(name, Verdict.NO_BASELINE, f"another workload: {'; '.join(others)}")
    counts = "; ".join(changed(before, after, WORK))
    if any(
        after[column] > before[column] for column in WORK if column in before and column in after
    ):
        return FileComparison(name, Verdict.REGRESSION, counts)
    if not timed:
        return FileComparison(name, Verdict.INVALID, "times of two machines")
    times = [case["stats"]["data"] for case in (base, head)]
    if times[0] == times[1]:
        return FileComparison(name, Verdict.OK, "the same measurement")
    if min(map(len, times)) < 2:
        return FileComparison(name, Verdict.INCONCLUSIVE, "a single round has no spread")
    change = unpaired(*times)
    return FileComparison(name, judge(change, limit.margin), counts, change)


def changed(before: dict[str, Any], after: dict[str, Any], columns: tuple[str, ...]) -> list[str]:
    """Those of the columns that both have and that differ, with their numbers."""
    return [
        f"{column} {before[column]:,} -> {after[column]:,}"
        for column in columns
        if column in before and column in after and before[column] != after[column]
    ]


def compare_files(
    base: dict[str, Any], head: dict[str, Any], margins: Margins
) -> tuple[list[FileComparison], list[str]]:
    """Every case of both files, and why times are not compared, if they are not."""
    differences = unlike(base, head)
    cases = [{c["name"]: c for c in file["benchmarks"]} for file in (base, head)]
    names = list(dict.fromkeys([*cases[0], *cases[1]]))
    found = [
        compare_case(
            name,
            cases[0].get(name),
            cases[1].get(name),
            margins.of(name),
            timed=not differences,
        )
        for name in names
    ]
    return found, differences
