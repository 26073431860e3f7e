"""Two revisions of the package, timed in pairs by one harness on one machine.

The harness (`benchmarks/`) is the head's; the package `davae` comes from a git worktree of each
revision. Every time is of a fresh process. Pairs are taken in the order base, head, head, base, so
that a drift of the machine falls on both sides alike; the two bases of such a block are a control
that should show no change.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from davae.track.verdict import Change, Verdict, judge, judge_confirmed, of_ratios

Side = Literal["base", "head"]
PINNED = ("pyproject.toml", "constraints.txt")
"""Files that decide what is installed: revisions that differ in them are not compared."""


@dataclass
class Pairs:
    """Times of one case, pair by pair."""

    base: list[float] = field(default_factory=list)
    head: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> np.ndarray:
        """log(head / base) of every pair."""
        return np.log(np.array(self.head) / np.array(self.base))

    @property
    def control(self) -> np.ndarray:
        """log ratio of the second base to the first of every block of two pairs."""
        bases = np.log(np.array(self.base))
        return bases[1::2] - bases[0 : len(bases) - 1 : 2]

    def extend(self, seconds: Callable[[Side], float], pairs: int) -> None:
        """Take further pairs, an even number: base, head, head, base."""
        for _ in range(pairs // 2):
            first, second = seconds("base"), seconds("head")
            third, fourth = seconds("head"), seconds("base")
            self.base += [first, fourth]
            self.head += [second, third]


@dataclass(frozen=True)
class Comparison:
    """A case's verdict and what it rests on."""

    case: str
    verdict: Verdict
    change: Change
    control: float
    """Median absolute log ratio of the bases of a block: what the machine does by itself."""
    margin: float


def compare_case(
    case: str, seconds: Callable[[Side], float], *, margin: float, pairs: int
) -> Comparison:
    """Time a case in `pairs` pairs, and in as many again where the first are not ok.

    invalid: the control of all pairs shows a change by the margin or more."""
    first, second = Pairs(), Pairs()
    first.extend(seconds, pairs)
    verdict = judge(of_ratios(first.ratios), margin)
    ratios = first.ratios
    if verdict != Verdict.OK:
        second.extend(seconds, pairs)
        verdict = judge_confirmed(first.ratios, second.ratios, margin)
        ratios = np.concatenate([first.ratios, second.ratios])
    control = np.concatenate([first.control, second.control])
    if abs(float(np.median(control))) > np.log1p(margin):
        verdict = Verdict.INVALID
    noise = float(np.median(np.abs(control)))
    return Comparison(case, verdict, of_ratios(ratios), noise, margin)


def git(*words: str) -> str:
    """The output of a git command; raises ValueError with its message."""
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def changed_dependencies(base: str, head: str) -> list[str]:
    """Which of PINNED differ between the revisions."""
    return git("diff", "--name-only", base, head, "--", *PINNED).split()


@contextmanager
def tree_of(revision: str) -> Iterator[Path]:
    """A folder with that revision's `davae` and the present `benchmarks`, removed at the end."""
    top = Path(git("rev-parse", "--show-toplevel").strip())
    with tempfile.TemporaryDirectory(prefix="davae_track") as scratch:
        tree, folder = Path(scratch) / "tree", Path(scratch) / "side"
        git("worktree", "add", "--detach", str(tree), revision)
        try:
            folder.mkdir()
            (folder / "davae").symlink_to(tree / "davae")
            (folder / "benchmarks").symlink_to(top / "benchmarks")
            yield folder
        finally:
            git("worktree", "remove", "--force", str(tree))


class Processes:
    """Times of fresh processes, all on one machine."""

    def __init__(self, folders: dict[Side, Path]):
        """folders: where each side imports `davae` and `benchmarks` from."""
        self.folders = folders
        self.machine: dict[str, Any] = {}

    def seconds(self, case: str, side: Side) -> float:
        """Seconds of one run of a case, by a process of its own.

        Raises RuntimeError with the process's last line where it fails, and where the machine is
        not that of the process before: other cores, threads or memory."""
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.once", case],
            cwd=self.folders[side], capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise RuntimeError(f"{case}, {side}: {last}")
        found = json.loads(done.stdout.splitlines()[-1])
        before = self.machine or found["machine"]
        if found["machine"] != before:
            changed = [
                f"{what} {before.get(what)} -> {found['machine'].get(what)}"
                for what in before
                if found["machine"].get(what) != before.get(what)
            ]
            raise RuntimeError(f"the machine changed meanwhile: {', '.join(changed)}")
        self.machine = before
        return float(found["seconds"])
