"""What ablations would train, what they take from the store, and how long that takes, before they
do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from heapq import heappop, heappush

import pandas as pd

from davae.analysis.tables import to_markdown
from davae.core.runtime import Runtime
from davae.core.store import Store
from davae.stages.stage import Stage, needed
from davae.sweep.arm import FAILURES
from davae.sweep.estimate import Costs, of_stage
from davae.sweep.launch import shared, tasks_of
from davae.sweep.sweep import Sweep

MATCHED = ("control", "native", "regressor")
"""Stages that train for the FLOPs of an adaptation of the steps that their config says."""


def steps_of(stage: Stage) -> int:
    """Training steps of a stage, of the adaptation where it is as long as that; 0 where it trains
    nothing."""
    training = of_stage(stage).training()
    return training["steps"] if training else 0


def dry_run(
    sweeps: Sequence[Sweep], store: Store, runtime: Runtime, jobs: int = 1, start: float = 0.0
) -> str:
    """A row a network: its stage and key, the steps it would train (0: it is there already), and
    the arms and seeds that use it; then the stages to run and those that are there, the arms that
    are recorded already or cannot be built, and how long everything takes.

    start: seconds that a process takes before its first arm."""
    rows, stages, needs, declared = [], {}, [], 0
    unbuilt: list[str] = []
    for sweep in sweeps:
        ablation = sweep.load()
        declared += len(sweep.chosen()) * len(sweep.seeds)
        for task in tasks_of(sweep):
            label = f"{ablation.name}: " if len(sweeps) > 1 else ""
            try:
                arm = sweep.at(task.arm, task.seed)
                of_arm = arm.stages()
            except FAILURES as error:
                unbuilt.append(f"{label}{task.arm}, seed {task.seed}: {error}")
                continue
            measured = [of_arm[role] for role in ablation.measured if role in of_arm]
            needs.append(list(needed(measured, store)))
            for stage in needs[-1]:
                there = store.has(stage.name, stage.key)
                stages[stage.name, stage.key] = stage, there
                if steps_of(stage):
                    to_train: int | str = 0 if there else steps_of(stage)
                    if to_train and stage.name in MATCHED:
                        to_train = f"as many FLOPs as {to_train:,} of adapted"
                    rows.append((stage.name, stage.key, to_train, label + arm.name, task.seed))
    costs = Costs(store, shared(runtime, jobs) if jobs > 1 else runtime)
    to_run = [stage for stage, there in stages.values() if not there]
    text = to_markdown(networks(rows)) if rows else ""
    text += counted("Stages to run", to_run)
    text += counted("In the store", [stage for stage, there in stages.values() if there])
    if recorded := declared - len(needs) - len(unbuilt):
        text += f"\nRecorded already: {recorded} of {declared} arms.\n"
    text += "".join(f"\nCannot be built: {one}\n" for one in unbuilt)
    text += "".join(f"\n{note}\n" for sweep in sweeps for note in sweep.notes())
    took = {stage.key: costs.seconds(stage) for stage in to_run}
    unknown = {stage.name for stage in to_run if took[stage.key] is None}
    works = [[(s.key, took[s.key] or 0.0) for s in need if s.key in took] for need in needs]
    seconds = makespan(works, jobs, start)
    return text + duration(seconds, len(needs), len(to_run), unknown, jobs)


def counted(title: str, stages: Sequence[Stage]) -> str:
    """How many there are of each name, as a sentence; nothing where there are none."""
    counts = Counter(stage.name for stage in stages)
    said = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    return f"\n{title}: {said}.\n" if said else ""


NAMED = 3
"""Arms that a row names at most; of more it says how many."""


def networks(rows: Sequence[tuple[str, str, int | str, str, int]]) -> pd.DataFrame:
    """A row a network, from one for each arm and seed that uses it."""
    identity = ["network", "key", "steps to train"]
    frame = pd.DataFrame(rows, columns=[*identity, "arm", "seed"]).drop_duplicates()
    users = frame.groupby(identity, sort=False)[["arm", "seed"]].apply(users_of)
    return users.rename("arms").reset_index() if len(frame) else frame


def users_of(frame: pd.DataFrame) -> str:
    """The arms of the rows and their seeds, as text."""
    names, seeds = frame["arm"].unique(), sorted(frame["seed"].unique())
    arms = "; ".join(names) if len(names) <= NAMED else f"{len(names)} arms"
    return f"{arms} (seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))})"


def makespan(works: Sequence[Sequence[tuple[str, float]]], jobs: int, start: float) -> float:
    """Seconds until all arms have ended, each of which is the keys of its stages, what it reads
    first, with their seconds. `jobs` processes take the arms in order, each the next one as it gets
    free; a stage that another arm has begun by then, or the same one, is waited for and not made
    again.

    start: seconds that the sweep takes before its first arm, and every arm's own process."""
    waiting, ended, last = iter(works), dict[str, float](), start
    processes: list[tuple[float, int, Iterator[tuple[str, float]]]]
    processes = [(start, number, iter(())) for number in range(jobs)]
    while processes:
        now, number, stages = heappop(processes)
        last = max(last, now)
        if (stage := next(stages, None)) is not None:
            key, seconds = stage
            ended.setdefault(key, now + seconds)
            heappush(processes, (max(now, ended[key]), number, stages))
        elif (work := next(waiting, None)) is not None:
            begin = now + (start if jobs > 1 else 0.0)
            heappush(processes, (begin, number, iter(work)))
    return last


def duration(seconds: float, arms: int, stages: int, unknown: Collection[str], jobs: int) -> str:
    """A sentence on how long the stages take, and on which of them it cannot be said."""
    text = f"\n{arms} arms, {stages} stages to run: "
    text += f"{'at least ' if unknown else 'about '}{seconds / 60:.1f} minutes"
    text += f" with {jobs} at a time" if jobs > 1 else ""
    if unknown:
        text += (
            "; without those stages that have not run on this machine with these settings: "
            f"{', '.join(sorted(unknown))}"
        )
    return text + ".\n"
