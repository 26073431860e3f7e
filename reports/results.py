"""What a folder of results holds: runs, ablations, benchmark files, and what could not be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from PIL import Image

from davae.core import records

T = TypeVar("T")
DAMAGED = (
    ValueError, LookupError, TypeError, AttributeError, OSError, ArithmeticError, RecursionError,
    SyntaxError, Image.DecompressionBombError,
)  # fmt: skip
"""What reading a damaged or foreign file may raise: text that is none, a column that is missing, a
value of another type or 0, brackets without end, a picture that is cut off or claims to be huge."""
TEXTS = ("arm", "metric", "protocol", "preset", "key", "git_sha")
NUMBERS = ("value", "seed", "base_seed")
COLUMNS = {*TEXTS, *NUMBERS, "status", "git_dirty"}
"""What rows of runs and ablations have at least."""
MACHINE = ("cpu", "cores", "threads", "memory_gib", "gpus")


@dataclass(frozen=True)
class Kept:
    """One folder's records."""

    folder: Path
    frame: pd.DataFrame
    """The rows that were measured, at least one."""

    @property
    def top(self) -> Path:
        """The folder above the preset's: of a machine, or of what was made here, of a run
        TOP/PRESET/seedN or an ablation TOP/PRESET/ablations/NAME."""
        up = self.folder.parent
        return up.parent.parent if up.name == "ablations" else up.parent

    @property
    def preset(self) -> str:
        """That its records name."""
        return str(self.frame["preset"].iloc[-1])


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
    full_size: list[Kept] = field(default_factory=list)
    """What `python -m benchmarks.headline` left."""
    benchmarks: list[Bench] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What is missing or damaged, a sentence each."""

    def groups(self) -> dict[str, list[Kept]]:
        """The runs of each preset of each machine, by a name that tells them apart."""
        several = len({kept.top for kept in self.runs}) > 1
        found: dict[str, list[Kept]] = {}
        for kept in self.runs:
            where = f", {self.place(kept.top)}" if several else ""
            found.setdefault(f"{kept.preset}{where}", []).append(kept)
        return found

    def place(self, path: Path) -> str:
        """The path from here, or its own where it lies elsewhere."""
        return str(path.relative_to(self.top) if path.is_relative_to(self.top) else path)

    def problem(self, path: Path, text: str) -> None:
        """Say what is wrong with a file or folder, once."""
        sentence = f"{self.place(path)} {text}"
        if sentence not in self.problems:
            self.problems.append(sentence)

    def tried(self, path: Path, make: Callable[..., T], *arguments: Any) -> T | None:
        """What `make(*arguments)` gives of a file or folder; None, and a problem, where that is
        damaged."""
        try:
            return make(*arguments)
        except DAMAGED as error:
            self.problem(path, f"could not be read: {type(error).__name__}: {error}")
            return None


def read_results(top: Path) -> Results:
    """Read everything below `top`; a file that cannot be read is a problem, not an error.

    Raises ValueError where the folder is not there."""
    if not top.is_dir():
        raise ValueError(f"{top} is no folder; name one that holds results, as results/ or runs/")
    top = top.resolve()
    found = Results(top)
    by_suite = {"run": found.runs, "ablation": found.ablations, "headline": found.full_size}
    for path in sorted(top.rglob("records.jsonl")):
        kept = found.tried(path, read_kept, path)
        if kept is not None and kept[0] in by_suite:
            by_suite[kept[0]].append(kept[1])
    for path in sorted(top.rglob("*.json")):
        if path.parent.name == "history" and path != max(path.parent.glob("*.json")):
            continue  # an earlier point of the history
        bench = found.tried(path, read_bench, path)
        if bench is not None:
            found.benchmarks.append(bench)
    for what, there in (("runs", found.runs), ("ablations", found.ablations)):
        if not there:
            found.problems.append(f"there are no records of {what} below {top.name}")
    if not found.benchmarks:
        found.problems.append(f"there is no file of the benchmark suite below {top.name}")
    return found


def read_kept(path: Path) -> tuple[str, Kept]:
    """The suite and the measured rows of a file of records; the suite is empty where there are
    none."""
    frame = records.load_records(path)
    if frame.empty or "suite" not in frame:
        raise ValueError("it holds no records")
    suite = str(frame["suite"].iloc[0])
    missing = sorted(COLUMNS - set(frame.columns))
    if missing:
        raise ValueError(f"its rows have no {', '.join(missing)}")
    measured = frame[frame["status"] == "ok"]
    if measured.empty:
        why = frame["error"].iloc[-1] if "error" in frame else "no error is named"
        raise ValueError(f"none of its {len(frame)} rows was measured; the last says: {why}")
    check_types(measured)
    return suite, Kept(path.parent, measured)


def check_types(frame: pd.DataFrame) -> None:
    """Raise ValueError for rows whose texts are none or whose numbers are not finite."""
    for name in TEXTS:
        wrong = [v for v in frame[name] if not isinstance(v, str)]
        if wrong:
            raise ValueError(f"{name} is {wrong[0]!r} in {len(wrong)} rows, no text")
    for name in NUMBERS:
        wrong = [
            v for v in frame[name]
            if isinstance(v, bool) or not isinstance(v, (int, float)) or not np.isfinite(v)
        ]  # fmt: skip
        if wrong:
            raise ValueError(f"{name} is {wrong[0]!r} in {len(wrong)} rows, no finite number")


def read_bench(path: Path) -> Bench | None:
    """A file of the suite; None for another JSON file."""
    if not records.is_benchmark(path):
        return None
    about = json.loads(path.read_text())["machine_info"]["davae"]
    for name in ("machine", "versions", "matmul_flops_per_second", "copy_bytes_per_second",
                 "convolution_flops_per_second"):  # fmt: skip
        if name not in about:
            raise KeyError(f"machine_info lacks {name}")
    lacking = [name for name in MACHINE if name not in about["machine"]]
    if lacking:
        raise KeyError(f"machine_info's machine lacks {', '.join(lacking)}")
    frame = records.load_records(path)
    if "status" not in frame:
        raise ValueError("it holds no cases")
    return Bench(path, frame, about)
