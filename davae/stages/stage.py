"""A stage, its key, and the pipeline that builds stages in dependency order."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from davae.core.environment import machine
from davae.core.hashing import content_digest, digest, hashable
from davae.core.ranks import alone, launched, ranks, state
from davae.core.runtime import Runtime
from davae.core.store import Store, read_json, write_json
from davae.measure.roofline import weight_gradient_rates

SHIPPED = Path(__file__).parents[2] / "results" / "cpu-2core" / "store"
"""The pretrained models of the repository, where this is a checkout of it."""


@dataclass(frozen=True)
class Work:
    """What a stage is given beside its config: where to write, what to read, how to run."""

    folder: Path
    inputs: dict[str, Path]
    runtime: Runtime


def together(make: Callable[..., None]) -> Callable[..., None]:
    """Mark what makes a stage as the work of all ranks; the main one makes the others alone."""
    make.together = True  # type: ignore[attr-defined]
    return make


@dataclass(frozen=True)
class Stage:
    """A pure function of its part of the config and of its upstream artifacts.

    `make(work, **config)` receives the very values that are hashed into the key. `version` is
    raised when the function's result changes.
    """

    name: str
    version: int
    make: Callable[..., None]
    config: dict[str, Any]
    upstream: dict[str, Stage] = field(default_factory=dict)
    content: str = ""
    """A file or folder from outside the store that the stage reads: its bytes enter the key."""

    @cached_property
    def key(self) -> str:
        """hash(name, version, config without neutral fields, upstream keys)."""
        return digest(self.inputs())

    @cached_property
    def recipe(self) -> str:
        """The key without its seeds: what the same stage has in common over seeds."""
        return digest(
            {
                "stage": self.name,
                "version": self.version,
                "config": hashable({k: v for k, v in self.config.items() if k != "seed"}),
                "upstream": {role: stage.recipe for role, stage in self.upstream.items()},
            }
        )

    def inputs(self) -> dict[str, Any]:
        """What the key is a hash of."""
        inputs = {
            "stage": self.name,
            "version": self.version,
            "config": hashable(self.config),
            "upstream": {role: stage.key for role, stage in self.upstream.items()},
        }
        return {**inputs, "content": content_digest(self.content)} if self.content else inputs


MEASURED = "measured.json"
"""In a store: what was measured on a machine, so that a stage that is resumed, and the arms of a
sweep, round alike."""


def settled(runtime: Runtime, store: Path) -> Runtime:
    """The runtime with what is measured on the machine filled in, measured once a store and CPU."""
    if runtime.weight_gradient != "measured":
        return runtime
    if runtime.kind == "cuda" or runtime.memory_format != "channels_last":
        return replace(runtime, weight_gradient="channels_last")
    store.mkdir(parents=True, exist_ok=True)
    file, here = store / MEASURED, f"{machine()['cpu']}, {torch.get_num_threads()} threads"
    with FileLock(f"{file}.lock"):
        known = read_json(file) if file.exists() else {}
        if here not in known:
            rates = weight_gradient_rates(runtime.device)
            faster = rates["contiguous"] > rates["channels_last"]
            known[here] = "contiguous" if faster else "channels_last"
            write_json(file, known)
    return replace(runtime, weight_gradient=known[here])


@contextmanager
def every_core(runtime: Runtime) -> Iterator[None]:
    """Work on all cores of the machine while its other ranks wait, each of which a launch gives
    only a share, unless the runtime says how many threads."""
    before = torch.get_num_threads()
    if launched().count > 1 and not runtime.threads:
        torch.set_num_threads(len(os.sched_getaffinity(0)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def needed(stages: Iterable[Stage], store: Store) -> Iterator[Stage]:
    """The stages that these read, themselves last, down to those that the store has; a stage that
    several read comes several times."""
    for stage in stages:
        if not store.has(stage.name, stage.key):
            yield from needed(stage.upstream.values(), store)
        yield stage


def rested_on(stages: Iterable[Stage]) -> Iterator[Stage]:
    """The stages and all that they read; one that several read comes several times."""
    for stage in stages:
        yield from rested_on(stage.upstream.values())
        yield stage


def of_rank(runtime: Runtime) -> Runtime:
    """The runtime on this rank's device; raises ValueError where the launch has other devices."""
    device = state().device
    if runtime.device not in ("cpu", "cuda") or runtime.kind != device.type:
        raise ValueError(
            f"runtime.device is {runtime.device!r} and each of the launched processes has "
            f"{device}; give --runtime.device {device.type}"
        )
    return replace(runtime, device=str(device)) if device.type == "cuda" else runtime


@dataclass(frozen=True)
class Pipeline:
    """Builds stages into a store under a runtime."""

    store: Store
    runtime: Runtime
    announce: Callable[[str], None] = print
    settings: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """Fields of the runtime that a stage, by its key, has for itself."""

    @staticmethod
    def at(
        store: Path,
        runtime: Runtime,
        announce: Callable[[str], None] = print,
        from_scratch: bool = False,
    ) -> Pipeline:
        """A pipeline over a store's folder, the runtime's global switches set.

        from_scratch: leave the shipped models aside and train everything."""
        here = ranks()
        if here.count > 1:
            runtime = of_rank(runtime)
        runtime.apply()
        runtime = settled(runtime, store)
        said = announce if here.main else lambda text: None
        return Pipeline(Store(store, None if from_scratch else SHIPPED), runtime, said)

    def counting(self, stages: Iterable[Stage]) -> Pipeline:
        """The same, which says of every stage which of how many it is, of those that these still
        need."""
        keys = {(s.name, s.key) for s in needed(stages, self.store)}
        missing = sum(not self.store.has(*key) for key in keys)
        begun = itertools.count(1)
        return replace(
            self, announce=lambda text: self.announce(f"stage {next(begun)} of {missing}: {text}")
        )

    def path(self, stage: Stage) -> Path:
        """The stage's artifact, built first if it does not exist."""
        here = ranks()
        if not here.told(here.main and self.store.has(stage.name, stage.key)):
            for upstream in stage.upstream.values():
                self.path(upstream)
            self._build(stage)
        return self.store.folder(stage.name, stage.key)

    def _build(self, stage: Stage) -> None:
        inputs = {role: self.store.folder(up.name, up.key) for role, up in stage.upstream.items()}
        self.announce(f"{stage.name} {stage.key}")
        runtime = replace(self.runtime, **self.settings.get(stage.key, {}))

        def make(folder: Path) -> None:
            if getattr(stage.make, "together", False):
                stage.make(Work(folder, inputs, runtime), **stage.config)
            elif ranks().main:
                with alone(), every_core(runtime):
                    stage.make(Work(folder, inputs, runtime), **stage.config)

        self.store.build(stage.name, stage.key, stage.inputs(), make, asdict(runtime))
