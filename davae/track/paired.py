"""Two revisions of the package, timed in pairs by one harness on one machine.

The harness (`benchmarks/`) is the head's; the package `davae` comes from a git worktree of each
revision. Two pairs make a block: four fresh processes, base, head, head and base, which take turns
of a tenth of a second. A machine that becomes slower for seconds, as a shared one does by a tenth,
slows all four alike. The two bases are a control that should show no change.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from davae.track.margins import Limit
from davae.track.verdict import Change, Verdict, judge, judge_confirmed, of_ratios

Side = Literal["base", "head"]
BLOCK: tuple[Side, ...] = ("base", "head", "head", "base")
TURNS = ((0, 1, 2, 3), (1, 0, 3, 2))
"""The orders in which the processes of a block take turns: nobody follows itself, a drift falls on
both sides alike, and each follows the other side as often as the other follows it."""
ROUNDS = 12
"""Turns of every process, an even number; its time is their median."""
PROJECT, PINS = "pyproject.toml", "constraints.txt"
INSTALLED = ("dependencies", "optional-dependencies", "requires-python")
"""Tables of PROJECT that, with PINS, decide what is installed: revisions that differ in them
are not compared."""


class Failed(RuntimeError):
    """A side that cannot run a case."""

    def __init__(self, side: Side, message: str):
        super().__init__(message)
        self.side = side


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

    def extend(self, block: Callable[[], Sequence[float]], pairs: int) -> None:
        """Take further pairs, an even number, from blocks of four times in the order of BLOCK."""
        for _ in range(pairs // 2):
            first, second, third, fourth = block()
            self.base += [first, fourth]
            self.head += [second, third]


@dataclass(frozen=True)
class Comparison:
    """A case's verdict and what it rests on."""

    case: str
    verdict: Verdict
    limit: Limit
    change: Change | None = None
    """None where there are no times."""
    control: float = 0.0
    """Median absolute log ratio of the bases of a block: what the machine does by itself."""
    reason: str = ""


def compare_case(
    case: str, block: Callable[[], Sequence[float]], *, limit: Limit, pairs: int
) -> Comparison:
    """Time a case in `pairs` pairs, and in as many again where the first are not ok.

    invalid: the control of all pairs shows a change by the margin or more, or the machine is
    another one than before. A head that fails is a regression, a base that fails no baseline."""
    first, second = Pairs(), Pairs()
    try:
        first.extend(block, pairs)
        ratios = first.ratios
        verdict = judge(of_ratios(ratios), limit.margin)
        if verdict != Verdict.OK:
            second.extend(block, pairs)
            verdict = judge_confirmed(ratios, second.ratios, limit.margin)
            ratios = np.concatenate([ratios, second.ratios])
    except Failed as error:
        verdict = Verdict.REGRESSION if error.side == "head" else Verdict.NO_BASELINE
        return Comparison(case, verdict, limit, reason=f"the {error.side} fails: {error}")
    except RuntimeError as error:
        return Comparison(case, Verdict.INVALID, limit, reason=str(error))
    control = np.concatenate([first.control, second.control])
    drift, reason = abs(float(np.median(control))), ""
    if drift > np.log1p(limit.margin):
        verdict, reason = Verdict.INVALID, "the machine does not agree with itself"
    noise = float(np.median(np.abs(control)))
    return Comparison(case, verdict, limit, of_ratios(ratios), noise, reason)


def git(*words: str) -> str:
    """The output of a git command; raises ValueError with its message."""
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def changed_dependencies(base: str, head: str) -> list[str]:
    """What decides on the installed packages and differs between the revisions."""
    one, other = (
        tomllib.loads(git("show", f"{revision}:{PROJECT}")).get("project", {})
        for revision in (base, head)
    )
    found = [f"{name} in {PROJECT}" for name in INSTALLED if one.get(name) != other.get(name)]
    return found + git("diff", "--name-only", base, head, "--", PINS).split()


@contextmanager
def tree_of(revision: str, harness: Path | None = None) -> Iterator[Path]:
    """A folder with that revision's `davae`, and its own `benchmarks` or those of `harness`,
    another such folder; removed at the end."""
    with tempfile.TemporaryDirectory(prefix="davae_track") as scratch:
        tree, folder = Path(scratch) / "tree", Path(scratch) / "side"
        git("worktree", "add", "--detach", str(tree), revision)
        try:
            folder.mkdir()
            (folder / "davae").symlink_to(tree / "davae")
            (folder / "benchmarks").symlink_to((harness or tree) / "benchmarks")
            yield folder
        finally:
            git("worktree", "remove", "--force", str(tree))


@dataclass(frozen=True)
class Process:
    """A fresh process that times a case a block at a time (`benchmarks/once.py`)."""

    side: Side
    child: subprocess.Popen[str]
    errors: IO[str]

    def read(self) -> Any:
        """The next line, as JSON.

        Raises Failed with the process's last message where it has ended, and RuntimeError where
        it was killed."""
        assert self.child.stdout is not None
        line = self.child.stdout.readline()
        if line:
            return json.loads(line)
        code = self.child.wait()
        if code == -signal.SIGKILL:
            raise RuntimeError(f"a process of the {self.side} was killed; too little memory?")
        self.errors.seek(0)
        said = self.errors.read().strip().splitlines()
        raise Failed(self.side, (said or [f"it ended with {code}"])[-1])

    def seconds(self) -> float:
        """Seconds of one run, by a block that is timed now."""
        assert self.child.stdin is not None
        with suppress(BrokenPipeError):  # it has died: `read` says of what
            os.write(self.child.stdin.fileno(), b"\n")
        return float(self.read())


@contextmanager
def started(case: str, side: Side, folder: Path) -> Iterator[Process]:
    """A process of a side; at the end its input ends, and it with it."""
    command = [sys.executable, "-m", "benchmarks.once", case]
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, cwd=folder, text=True, stdin=pipe, stdout=pipe, stderr=errors
        ) as child,
    ):
        try:
            yield Process(side, child, errors)
        except BaseException:
            child.kill()
            raise


class Processes:
    """Times of fresh processes, all under the same conditions."""

    def __init__(self, folders: dict[Side, Path]):
        """folders: where each side imports `davae` and `benchmarks` from."""
        self.folders = folders
        self.conditions: dict[str, Any] = {}

    def block(self, case: str) -> list[float]:
        """Seconds of one run of a case by four processes, in the order of BLOCK; medians.

        Raises Failed where one of them fails, and RuntimeError where one is killed or the
        conditions are not those of the block before: other cores, threads, memory, torch."""
        with ExitStack() as stack:
            four = [stack.enter_context(started(case, side, self.folders[side])) for side in BLOCK]
            for process in four:
                self.check({**process.read()["conditions"], "rounds": ROUNDS})
            times: list[list[float]] = [[] for _ in four]
            for turn in range(ROUNDS):
                for i in TURNS[turn % 2]:
                    times[i].append(four[i].seconds())
        return [statistics.median(of_one) for of_one in times]

    def check(self, conditions: dict[str, Any]) -> None:
        """Remember the conditions; raises RuntimeError where they are others than before."""
        before = self.conditions or conditions
        if conditions != before:
            changed = [
                f"{what} {before.get(what)} -> {conditions.get(what)}"
                for what in {**before, **conditions}
                if conditions.get(what) != before.get(what)
            ]
            raise RuntimeError(f"the machine changed meanwhile: {', '.join(changed)}")
        self.conditions = before
