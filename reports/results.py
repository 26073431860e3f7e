"""What a folder of results holds: runs, ablations, benchmark files, and what could not be read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from davae.core import records


@dataclass(frozen=True)
class Kept:
    """One folder's records."""

    folder: Path
    frame: pd.DataFrame

    @property
    def preset(self) -> str:
        """Of a run OUT/PRESET/seedN or an ablation OUT/PRESET/ablations/NAME."""
        up = self.folder.parent
        return up.parent.name if up.name == "ablations" else up.name


@dataclass(frozen=True)
class Bench:
    """One file of the benchmark suite."""

    path: Path
    frame: pd.DataFrame
    about: dict[str, Any]
    """Machine, versions and ceilings."""


@dataclass
class Results:
    """Everything below a folder, in the order of paths."""

    top: Path
    runs: list[Kept] = field(default_factory=list)
    ablations: list[Kept] = field(default_factory=list)
    evaluations: list[Kept] = field(default_factory=list)
    benchmarks: list[Bench] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What is missing or damaged, a sentence each."""

    def named(self, ablation: str) -> list[Kept]:
        """The records of an ablation, of every preset."""
        return [kept for kept in self.ablations if kept.folder.name == ablation]


def read_results(top: Path) -> Results:
    """Read everything below `top`; a file that cannot be read is a problem, not an error.

    Raises ValueError where the folder is not there."""
    if not top.is_dir():
        raise ValueError(f"{top} is no folder; name one that holds results, as results/ or runs/")
    found = Results(top)
    by_suite = {"run": found.runs, "ablation": found.ablations, "eval": found.evaluations}
    for path in sorted(top.rglob("records.jsonl")):
        try:
            frame = records.load_records(path)
        except (ValueError, KeyError, OSError) as error:
            found.problems.append(f"{path.relative_to(top)} could not be read: {error}")
            continue
        suite = str(frame["suite"].iloc[0]) if len(frame) else ""
        if suite in by_suite:
            by_suite[suite].append(Kept(path.parent, frame))
        else:
            found.problems.append(f"{path.relative_to(top)} holds no rows of a known suite")
    for path in sorted(top.rglob("*.json")):
        try:
            if not records.is_benchmark(path):
                continue
            about = json.loads(path.read_text())["machine_info"]["davae"]
            found.benchmarks.append(Bench(path, records.load_records(path), about))
        except (ValueError, KeyError, OSError) as error:
            found.problems.append(f"{path.relative_to(top)} could not be read: {error}")
    for what, kept in (("runs", found.runs), ("ablations", found.ablations)):
        if not kept:
            found.problems.append(f"there are no records of {what} below {top.name}")
    if not found.benchmarks:
        found.problems.append(f"there is no file of the benchmark suite below {top.name}")
    return found
