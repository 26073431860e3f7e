"""A stage, its key, and the pipeline that builds stages in dependency order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from davae.core.hashing import content_digest, digest, hashable
from davae.core.runtime import Runtime
from davae.core.store import Store
from davae.measure.roofline import weight_gradient_rates

SHIPPED = Path(__file__).parents[2] / "results" / "cpu-2core" / "store"
"""The pretrained models of the repository, where this is a checkout of it."""


@dataclass(frozen=True)
class Work:
    """What a stage is given beside its config: where to write, what to read, how to run."""

    folder: Path
    inputs: dict[str, Path]
    runtime: Runtime


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


def settled(runtime: Runtime) -> Runtime:
    """The runtime with what is measured on the machine filled in."""
    if runtime.weight_gradient != "measured":
        return runtime
    if runtime.kind == "cuda" or runtime.memory_format != "channels_last":
        return replace(runtime, weight_gradient="channels_last")
    rates = weight_gradient_rates(runtime.device)
    faster = rates["contiguous"] > rates["channels_last"]
    return replace(runtime, weight_gradient="contiguous" if faster else "channels_last")


@dataclass(frozen=True)
class Pipeline:
    """Builds stages into a store under a runtime."""

    store: Store
    runtime: Runtime
    announce: Callable[[str], None] = print

    @staticmethod
    def at(
        store: Path,
        runtime: Runtime,
        announce: Callable[[str], None] = print,
        from_scratch: bool = False,
    ) -> Pipeline:
        """A pipeline over a store's folder, the runtime's global switches set.

        from_scratch: leave the shipped models aside and train everything."""
        runtime.apply()
        runtime = settled(runtime)
        return Pipeline(Store(store, None if from_scratch else SHIPPED), runtime, announce)

    def path(self, stage: Stage) -> Path:
        """The stage's artifact, built first if it does not exist."""
        if not self.store.has(stage.name, stage.key):
            for upstream in stage.upstream.values():
                self.path(upstream)
            self._build(stage)
        return self.store.folder(stage.name, stage.key)

    def _build(self, stage: Stage) -> None:
        inputs = {role: self.store.folder(up.name, up.key) for role, up in stage.upstream.items()}
        self.announce(f"{stage.name} {stage.key}")

        def make(folder: Path) -> None:
            stage.make(Work(folder, inputs, self.runtime), **stage.config)

        self.store.build(stage.name, stage.key, stage.inputs(), make, asdict(self.runtime))
