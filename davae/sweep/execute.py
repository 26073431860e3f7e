"""Running ablations: every arm at every seed over cached stages, recorded arm by arm, the tables
written anew after each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tqdm import tqdm

from davae.core.experiment import Experiment
from davae.stages.stage import Pipeline
from davae.sweep.ablation import Ablation, Arm
from davae.sweep.arm import is_recorded
from davae.sweep.launch import Launcher, Task, here, tasks_of
from davae.sweep.report import report, write_tables


@dataclass(frozen=True)
class Sweep:
    """An ablation at a preset: which arms at which seeds, and where its records go."""

    load: Callable[[], Ablation]
    base: Experiment
    preset: str
    seeds: tuple[int, ...]
    out: Path
    names: tuple[str, ...] = ()
    """Arms; empty: all."""
    extensions: tuple[Path, ...] = ()

    @property
    def folder(self) -> Path:
        """OUT/PRESET/ablations/NAME."""
        return self.out / self.preset / "ablations" / self.load().name

    def tasks(self) -> list[Task]:
        """An arm at a seed each, those that are recorded already left out."""
        ablation, found = self.load(), []
        arms = [arm.name for arm in chosen_arms(ablation, self.base, self.names)]
        for task in tasks_of(
            self.load, self.base, preset=self.preset, seeds=self.seeds, arms=arms,
            folder=self.folder, extensions=self.extensions,
        ):  # fmt: skip
            _, arm = task.found()
            if not is_recorded(self.folder / "records.jsonl", arm.name, ablation.key(arm)):
                found.append(task)
        return found


def chosen_arms(ablation: Ablation, base: Experiment, names: tuple[str, ...]) -> tuple[Arm, ...]:
    """The arms of these names, or all; raises ValueError for a name that no arm has."""
    arms = ablation.arms(base)
    there = [arm.name for arm in arms]
    unknown = [name for name in names if name not in there]
    if unknown:
        raise ValueError(
            f"{ablation.name} has no arm {', '.join(unknown)}; arms: {', '.join(there)}"
        )
    return tuple(arm for arm in arms if not names or arm.name in names)


def run_sweeps(sweeps: Sequence[Sweep], launch: Launcher) -> None:
    """Run what has no record yet, and write tables, findings and figures of every ablation.

    A failed arm leaves one record with its error and the others go on. Raises ValueError where
    every arm of an ablation failed, after the others are reported."""
    tasks = [task for sweep in sweeps for task in sweep.tasks()]
    by_folder = {sweep.folder: sweep for sweep in sweeps}
    for folder in by_folder:
        folder.mkdir(parents=True, exist_ok=True)
    ended: Counter[str] = Counter()
    with tqdm(total=len(tasks), desc="arms", unit="arm", disable=not tasks) as progress:
        for task, error in launch(tasks):
            ended["failed" if error else "recorded"] += 1
            progress.set_postfix({**ended, "last": f"{task.arm}, seed {task.seed}"})
            progress.update()
            sweep = by_folder[task.folder]
            ablation = sweep.load()
            if not error:
                write_tables(ablation, ablation.arms(sweep.base), task.folder)
    empty = []
    for folder, sweep in by_folder.items():
        ablation = sweep.load()
        try:
            report(ablation, ablation.arms(sweep.base), folder)
        except ValueError as error:
            empty.append(str(error))
    if empty:
        raise ValueError("; ".join(empty))


def run_ablation(
    ablation: Ablation,
    base: Experiment,
    *,
    preset: str,
    seeds: Sequence[int],
    pipeline: Pipeline,
    out: Path,
    names: tuple[str, ...] = (),
) -> Path:
    """Run one ablation here, one arm after the other; the folder of its records."""
    sweep = Sweep(lambda: ablation, base, preset, tuple(seeds), out, names)
    run_sweeps([sweep], partial(here, pipeline=pipeline))
    return sweep.folder
