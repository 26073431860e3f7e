"""How long stages will take, from what their like took on this machine."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from davae.core.environment import machine
from davae.core.hashing import hashable
from davae.core.runtime import Runtime
from davae.core.store import MANIFEST, Store, read_json
from davae.stages.latents import SPECTRUM_CROPS
from davae.stages.stage import Stage

ALIKE = ("device", "dtype", "compile")
"""Settings of the runtime that a time is only good for."""


@dataclass(frozen=True)
class Node:
    """A stage, to be run or finished: its name, its config as JSON and what it reads, by role."""

    name: str
    config: dict[str, Any]
    roles: Collection[str]
    upstream: Callable[[str], Node]

    def training(self) -> dict[str, Any] | None:
        """The training that it is, as JSON, if it trains: of a pretrained pipeline's that of the
        adaptation, not what it says of a base model's."""
        parts = self.config.get("adapt_config"), *self.config.values()
        trained = [part["train"] for part in parts if isinstance(part, dict) and "train" in part]
        return trained[0] if trained else None

    def amount(self) -> float:
        """What its time is proportional to: samples trained on, forwards, or images."""
        trained = self.training()
        if trained is not None:
            return trained["steps"] * trained["batch_size"]
        if self.name in ("sampled", "speed"):
            sample = self.config["sample"]
            guided = 2 if sample["guidance_scale"] != 1.0 else 1
            return self.config["count"] * sample["num_inference_steps"] * guided
        if self.name in ("samples", "generation", "own_distance"):
            return self.images() * self.judges()
        if self.name in ("reconstruction", "references"):
            return (self.config["metrics"].get("count") or self.crops("eval")) * self.judges()
        if self.name == "structure":
            return self.config.get("count") or self.crops("eval")
        if self.name == "spectrum":
            return self.config.get("count", SPECTRUM_CROPS)
        if self.name in ("detail_latents", "base_latents", "native_latents"):
            train = self.config.get("train_crops") or self.crops("train")
            return train + 2 * (self.config.get("check_crops") or self.crops("eval"))
        return 1.0

    def images(self) -> float:
        """How many images are sampled, here or upstream."""
        if "count" in self.config:
            return self.config["count"]
        if self.name == "own_latents":
            return self.crops("eval")
        for role in ("sampled", "samples"):
            if role in self.roles:
                return self.upstream(role).images()
        return 1.0

    def crops(self, part: str) -> float:
        """How many crops of a part the data set has; 1 where several sets are pooled."""
        return self.upstream("crops").config.get("data", {}).get(f"{part}_crops", 1)

    def judges(self) -> int:
        """Extractors that judge it."""
        return 1 + len(self.config.get("metrics", {}).get("also", ()))


def of_stage(stage: Stage) -> Node:
    """A stage that is to be run."""
    config = {name: hashable(value) for name, value in stage.config.items()}
    return Node(
        stage.name, config, stage.upstream.keys(), lambda role: of_stage(stage.upstream[role])
    )


def leaves(config: Any, prefix: str = "") -> dict[str, Any]:
    """Every value of a nested config by its path."""
    if not isinstance(config, dict):
        return {prefix: config}
    parts = [leaves(value, f"{prefix}.{name}") for name, value in config.items()]
    return {path: value for part in parts for path, value in part.items()}


def described(node: Node) -> dict[str, Any]:
    """Every value of a stage's config, and of its transformer's: what samples the latents is no
    part of the sampling's own."""
    found = leaves(node.config)
    if "dit" in node.roles:
        dit = node.upstream("dit")
        found |= leaves({"stage": dit.name, **dit.config}, "dit")
    return found


class Costs:
    """Times of finished stages of a store, taken on this machine under the runtime's settings."""

    def __init__(self, store: Store, runtime: Runtime):
        here = machine()
        self.threads = runtime.threads or here["threads"]
        self.done: dict[str, dict[str, Any]] = {}
        self.usable: dict[str, list[dict[str, Any]]] = {}
        for manifest in manifests(store):
            self.done[manifest["key"]] = manifest
            took = manifest["runtime"]
            threads = took["threads"] or manifest["machine"]["threads"]
            alike = all(took[name] == getattr(runtime, name) for name in ALIKE)
            if alike and threads == self.threads and manifest["machine"]["cpu"] == here["cpu"]:
                self.usable.setdefault(manifest["stage"], []).append(manifest)

    def node(self, manifest: dict[str, Any]) -> Node:
        """A finished stage."""
        inputs = manifest["inputs"]

        def upstream(role: str) -> Node:
            return self.node(self.done[inputs["upstream"][role]])

        return Node(manifest["stage"], inputs["config"], inputs["upstream"].keys(), upstream)

    def seconds(self, stage: Stage) -> float | None:
        """What the stage will take: the time of the finished one whose config is most like it, in
        proportion to their amounts; None where none is known."""
        wanted = of_stage(stage)
        mine = described(wanted)

        def likeness(manifest: dict[str, Any]) -> int:
            try:
                theirs = described(self.node(manifest))
            except KeyError:  # what it read is not in the store any more
                return -1
            return sum(theirs.get(path) == value for path, value in mine.items())

        for manifest in sorted(self.usable.get(stage.name, []), key=likeness, reverse=True):
            try:
                amount = self.node(manifest).amount()
            except KeyError:
                continue
            if amount:
                return manifest["seconds"] * wanted.amount() / amount
        return None


def manifests(store: Store) -> Iterator[dict[str, Any]]:
    """Those of all finished stages, the shipped ones' too."""
    for top in (store.root, store.shipped):
        for path in sorted(Path(top).glob(f"*/*/{MANIFEST}")) if top else ():
            if not path.parent.name.endswith(".partial"):
                yield read_json(path)
