"""Arms as tasks: run here one after the other, in processes of this machine, or by Ray."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from davae.core import records
from davae.core.environment import machine
from davae.core.experiment import Experiment
from davae.core.extend import load_file
from davae.core.runtime import Runtime
from davae.stages.stage import Pipeline
from davae.sweep.ablation import Ablation, Arm
from davae.sweep.arm import columns_of, file_name, record_failure, run_arm

Done = tuple["Task", str]
"""A task that has ended, and its error; empty where it was recorded."""
Launcher = Callable[[Sequence["Task"]], Iterator[Done]]


@dataclass(frozen=True)
class Task:
    """One arm at one seed, as another process can be given it."""

    load: Callable[[], Ablation]
    base: Experiment
    """What the ablation's arms start from, before the seed."""
    preset: str
    seed: int
    arm: str
    folder: Path
    """Of the ablation's records."""
    run_id: str
    show: bool = False
    """Whether its first samples are kept as a picture."""
    extensions: tuple[Path, ...] = ()
    """Files of the user's own that are run before."""

    @property
    def identity(self) -> dict[str, Any]:
        """The columns that its rows have in common, beside the arm's."""
        return {
            "run_id": self.run_id, "preset": self.preset, "base_seed": self.base.base_seed,
            "seed": self.seed,
        }  # fmt: skip

    def found(self) -> tuple[Ablation, Arm]:
        """The ablation and the arm at the task's seed."""
        ablation = self.load()
        [arm] = (
            arm
            for arm in ablation.arms(ablation.seeded(self.base, self.seed))
            if arm.name == self.arm
        )
        return ablation, arm

    def perform(self, pipeline: Pipeline) -> str:
        """Run and record the arm; the error, if any."""
        ablation, arm = self.found()
        return run_arm(ablation, arm, self.folder, pipeline, identity=self.identity, show=self.show)

    def fail(self, error: str) -> None:
        """Record that the task's process died."""
        ablation, arm = self.found()
        path = self.folder / "records.jsonl"
        record_failure(path, columns_of(ablation, arm, self.identity), error)


def here(tasks: Sequence[Task], pipeline: Pipeline) -> Iterator[Done]:
    """One after the other in this process."""
    for task in tasks:
        yield task, task.perform(pipeline)


def shared(runtime: Runtime, jobs: int) -> Runtime:
    """The runtime of one of `jobs` processes: its share of the cores, where no number is set."""
    if runtime.threads or runtime.kind == "cuda":
        return runtime
    return replace(runtime, threads=max(1, machine()["cores"] // jobs))


def alone(task: Task, store: Path, runtime: Runtime) -> str:
    """A task in a process of its own."""
    for file in task.extensions:
        load_file(file)
    return task.perform(Pipeline.at(store, runtime, lambda text: print(text, flush=True)))


def into_log(log: Path, task: Task, store: Path, runtime: Runtime) -> None:
    """A task whose output goes to a file; leaves with 1 where it fails."""
    with log.open("a", buffering=1) as stream:
        os.dup2(stream.fileno(), sys.stdout.fileno())
        os.dup2(stream.fileno(), sys.stderr.fileno())
        with contextlib.suppress(KeyboardInterrupt):
            sys.exit(1 if alone(task, store, runtime) else 0)
    sys.exit(130)


def in_processes(tasks: Sequence[Task], store: Path, runtime: Runtime, jobs: int) -> Iterator[Done]:
    """`jobs` at a time, each in a fresh process with its share of the cores and a log of its own
    (FOLDER/logs/ARM.seedN.log); leaving the loop early stops those that run."""
    context = multiprocessing.get_context("spawn")
    waiting: list[Task] = list(tasks)
    running: dict[Any, tuple[Any, Task, Path]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                task = waiting.pop(0)
                log = task.folder / "logs" / f"{file_name(task.arm)}.seed{task.seed}.log"
                log.parent.mkdir(parents=True, exist_ok=True)
                process = context.Process(
                    target=into_log, args=(log, task, store, shared(runtime, jobs))
                )
                process.start()
                running[process.sentinel] = process, task, log
            for sentinel in wait(list(running)):
                process, task, log = running.pop(sentinel)
                process.join()
                yield task, outcome(process.exitcode, task, log)
    finally:
        for process, _, _ in running.values():
            process.terminate()
            process.join()


def outcome(code: int | None, task: Task, log: Path) -> str:
    """The error of a process that has ended. One that could not record it is recorded here."""
    if code == 0:
        return ""
    last = (log.read_text().strip().splitlines() or ["no output"])[-1]
    if code == 1 and " failed: " in last:
        return last.partition(" failed: ")[2]
    error = f"its process ended with {code}: {last}"
    task.fail(error)
    return error


def on_ray(tasks: Sequence[Task], store: Path, runtime: Runtime, jobs: int) -> Iterator[Done]:
    """Ray tasks, each with one GPU or its share of this machine's cores, on the cluster that
    RAY_ADDRESS names or on this machine. Nodes need the packages, and `store` and the folder of the
    records on a disk that all of them see."""
    import ray

    own = shared(runtime, jobs)
    resources = {"num_gpus": 1} if own.kind == "cuda" else {"num_cpus": own.threads}
    ray.init(ignore_reinit_error=True, log_to_driver=False)
    remote = ray.remote(max_retries=0, **resources)(alone)
    running = {remote.remote(task, store.absolute(), own): task for task in tasks}
    try:
        while running:
            [ready], _ = ray.wait(list(running), num_returns=1)
            task = running.pop(ready)
            try:
                yield task, ray.get(ready)
            except ray.exceptions.RayError as error:
                text = f"its worker ended: {str(error).strip().splitlines()[-1]}"
                task.fail(text)
                yield task, text
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def tasks_of(
    load: Callable[[], Ablation],
    base: Experiment,
    *,
    preset: str,
    seeds: Sequence[int],
    arms: Sequence[str],
    folder: Path,
    extensions: tuple[Path, ...] = (),
) -> list[Task]:
    """A task for every arm at every seed, seed by seed; the first seed's samples are shown."""
    run_id = records.new_run_id()
    return [
        Task(load, base, preset, seed, arm, folder, run_id, seed == seeds[0], extensions)
        for seed in seeds
        for arm in arms
    ]
