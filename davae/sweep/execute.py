"""Running ablations: every arm at every seed over cached stages, recorded arm by arm, the tables
written anew as they end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from davae.sweep.arm import FAILURES
from davae.sweep.launch import Launcher, tasks_of
from davae.sweep.report import report, write_tables
from davae.sweep.sweep import Sweep

BETWEEN = 10.0
"""Seconds from one writing of an ablation's tables to the next while its arms end."""


def run_sweeps(sweeps: Sequence[Sweep], launch: Launcher) -> int:
    """Run what has no record yet, and write tables, findings and figures of every ablation; how
    many arms failed.

    A failed arm leaves one record with its error and the others go on. Raises ValueError for
    ablations whose arms cannot be declared or all failed, after the others are reported."""
    tasks, there, wrong = [], [], []
    due: dict[Path, float] = {}
    for sweep in sweeps:
        try:
            of_sweep = tasks_of(sweep)
            sweep.folder.mkdir(parents=True, exist_ok=True)
            notes = sweep.notes() if of_sweep else []
        except FAILURES as error:
            wrong.append(f"{sweep.load().name}: {in_words(error)}")
        else:
            tasks += of_sweep
            there.append(sweep)
            for note in notes:
                tqdm.write(note)
    ended: Counter[str] = Counter()
    with tqdm(total=len(tasks), desc="arms", unit="arm", disable=not tasks) as progress:
        for task, error in launch(tasks):
            ended["failed" if error else "recorded"] += 1
            progress.set_postfix({**ended, "last": f"{task.arm}, seed {task.seed}"})
            progress.update()
            folder = task.sweep.folder
            if not error and time.monotonic() > due.get(folder, 0.0):
                try:
                    write_tables(task.sweep)
                except FAILURES as reason:
                    progress.write(f"the table could not be written: {reason}")
                due[folder] = time.monotonic() + BETWEEN
    for sweep in there:
        try:
            report(sweep)
        except FAILURES as error:
            wrong.append(f"{sweep.load().name}: {in_words(error)}")
    if wrong:
        count = ended["failed"]
        raise ValueError("; ".join([*([f"{count} arms failed"] if count else []), *wrong]))
    return ended["failed"]


def in_words(error: BaseException) -> str:
    """What an error says, behind its kind where that is no error of what was given."""
    kind = "" if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: "
    return f"{kind}{error}"
