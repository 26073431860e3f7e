"""Arms as tasks: run here one after the other, in processes of this machine, or by Ray."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from davae.core import records
from davae.core.environment import machine
from davae.core.extend import load_file
from davae.core.hashing import digest
from davae.core.runtime import Runtime
from davae.stages.stage import Pipeline
from davae.sweep.arm import columns_of, file_name, is_recorded, record_failure, rows_of, run_arm
from davae.sweep.sweep import Sweep

Done = tuple["Task", str]
"""A task that has ended, and its error; empty where it was recorded."""
LOADED: set[Path] = set()
"""Extensions that this process has run: Ray gives a process several tasks."""
Launcher = Callable[[Sequence["Task"]], Iterator[Done]]


@dataclass(frozen=True)
class Task:
    """One arm at one seed, as another process can be given it."""

    sweep: Sweep
    arm: str
    seed: int
    run_id: str
    key: str
    """Of the arm when the sweep started; empty where it could not be built."""

    @property
    def identity(self) -> dict[str, Any]:
        """The columns that its rows have in common, beside the arm's."""
        return {"run_id": self.run_id, "preset": self.sweep.preset, "seed": self.seed}

    def perform(self, pipeline: Pipeline) -> str:
        """Run and record the arm; the error, if any. The first seed's samples are shown."""
        return run_arm(
            self.sweep.load(), self.sweep.at(self.arm, self.seed), self.sweep.folder, pipeline,
            identity=self.identity, planned=self.key, show=self.seed == self.sweep.seeds[0],
        )  # fmt: skip

    def fail(self, error: str) -> None:
        """Record that the task's process died."""
        record_failure(self.sweep.file, self.columns(), error)

    def columns(self) -> dict[str, Any]:
        """What all its rows have in common."""
        arm = self.sweep.at(self.arm, self.seed)
        return {**columns_of(self.sweep.load(), arm, self.identity), "key": self.key}


def tasks_of(sweep: Sweep) -> list[Task]:
    """Every chosen arm at every seed, seed by seed, but for those that are recorded already."""
    run_id, keys = records.new_run_id(), sweep.keys(sweep.seeds)
    there = rows_of(sweep.file)
    tasks = [
        Task(sweep, name, seed, run_id, keys[name, seed])
        for seed in sweep.seeds
        for name in sweep.chosen()
    ]
    return [task for task in tasks if not task.key or not is_recorded(there, task.columns())]


def here(tasks: Sequence[Task], pipeline: Pipeline) -> Iterator[Done]:
    """One after the other in this process."""
    for task in tasks:
        yield task, task.perform(pipeline)


def drawing(tasks: Sequence[Task]) -> Iterator[Done]:
    """None of them, where only what is recorded is drawn."""
    del tasks
    return iter(())


def shared(runtime: Runtime, jobs: int) -> Runtime:
    """The runtime of one of `jobs` processes: its share of the cores, where no number is set."""
    if runtime.threads or runtime.kind == "cuda":
        return runtime
    return replace(runtime, threads=max(1, machine()["cores"] // jobs))


def alone(task: Task, store: Path, runtime: Runtime) -> str:
    """A task in a process of its own."""
    for file in task.sweep.extensions:
        if file not in LOADED:
            load_file(file)
            LOADED.add(file)
    return task.perform(Pipeline.at(store, runtime, lambda text: print(text, flush=True)))


LONGEST = 100
"""Letters of an arm's name in the name of its log."""
RECORDED = 3
"""Exit code of a process whose arm failed and has left its record."""


def log_name(task: Task) -> str:
    """The name of a task's log: of its arm, cut where it is long, or with a digest where letters
    had to be replaced, so that no other arm has it."""
    name = file_name(task.arm)[:LONGEST]
    other = "" if name == task.arm else f".{digest(task.arm)[:6]}"
    return f"{name}{other}.seed{task.seed}.log"


def into_log(log: Path, task: Task, store: Path, runtime: Runtime, parent: int) -> None:
    """A task whose output goes to a file; leaves with RECORDED where it fails."""
    die_with(parent)
    with log.open("a", buffering=1) as stream:
        os.dup2(stream.fileno(), sys.stdout.fileno())
        os.dup2(stream.fileno(), sys.stderr.fileno())
        with contextlib.suppress(KeyboardInterrupt):
            sys.exit(RECORDED if alone(task, store, runtime) else 0)
    sys.exit(130)


def die_with(parent: int) -> None:
    """Let the system end this process when the sweep's is killed (Linux), and end it where that was
    killed already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        sys.exit(1)


def in_processes(tasks: Sequence[Task], store: Path, runtime: Runtime, jobs: int) -> Iterator[Done]:
    """`jobs` at a time, each in a fresh process with its share of the cores and a log of its own
    (FOLDER/logs/ARM.seedN.log); leaving the loop early stops those that run."""
    context, own = multiprocessing.get_context("spawn"), shared(runtime, jobs)
    waiting: list[Task] = list(tasks)
    running: dict[Any, tuple[Any, Task, Path]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                task = waiting.pop(0)
                log = task.sweep.folder / "logs" / log_name(task)
                try:
                    log.parent.mkdir(parents=True, exist_ok=True)
                except OSError as error:
                    task.fail(f"its log cannot be written: {error}")
                    yield task, str(error)
                    continue
                given = (log, task, store, own, os.getpid())
                process = context.Process(target=into_log, args=given)
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
    text = log.read_text() if log.exists() else ""
    if code == RECORDED:
        return text.rpartition(" failed: ")[2].strip()
    last = (text.strip().splitlines() or ["no output"])[-1]
    error = f"its process ended with {code}: {last}"
    task.fail(error)
    return error


def on_ray(tasks: Sequence[Task], store: Path, runtime: Runtime, jobs: int) -> Iterator[Done]:
    """Ray tasks, each with one GPU or its share of this machine's cores, on the cluster that
    RAY_ADDRESS names or on this machine. Nodes need the packages, and `store` and the folder of the
    records on a disk that all of them see. Raises ValueError where Ray is missing, and where this
    machine has not what a task needs."""
    try:
        import ray
    except ImportError as error:
        raise ValueError("--launcher ray needs Ray: pip install davae[ray]") from error

    own = shared(runtime, jobs)
    tasks = [replace(task, sweep=task.sweep.absolute()) for task in tasks]
    resources = {"num_gpus": 1} if own.kind == "cuda" else {"num_cpus": own.threads}
    ray.init(ignore_reinit_error=True, log_to_driver=False)
    check_room(ray.nodes(), resources)
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


def check_room(nodes: Sequence[dict[str, Any]], resources: dict[str, int]) -> None:
    """Whether a node of a Ray cluster has what a task needs, which would wait for ever otherwise:
    raises ValueError on this machine, and says so on a cluster, which another node may join."""
    [(asked, needed)] = resources.items()
    kind = {"num_cpus": "CPU", "num_gpus": "GPU"}[asked]
    most = max((node["Resources"].get(kind, 0) for node in nodes if node["Alive"]), default=0)
    if most >= needed:
        return
    text = f"an arm needs {needed} {kind}s on one node, and Ray's largest has {most:g}"
    if not os.environ.get("RAY_ADDRESS"):
        raise ValueError(f"{text}; give fewer --runtime.threads, or another --runtime.device")
    print(f"{text}: arms wait until one joins", file=sys.stderr, flush=True)
