"""What the stages of a sweep's arms took: a line an arm and seed, beside its records."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from davae.core import records
from davae.core.store import SUMMARY, Store
from davae.stages.stage import rested_on
from davae.sweep.ablation import Arm

TIMES = "stages.jsonl"
"""In the folder of an ablation's records."""


def keep_times(folder: Path, arm: Arm, measured: Iterable[str], key: str, store: Store) -> None:
    """Append the seconds of every stage that the `measured` roles of an arm rest on and the store
    has built, by stage and key, and each one's threads, precision and CPU; networks that the
    project ships are left out.

    key: of the arm's records."""
    stages = arm.stages()
    there = {stage.key: stage for stage in rested_on([stages[role] for role in measured])}
    built = [stage for stage in there.values() if store.built(stage.name, stage.key)]
    manifests = {f"{s.name}/{s.key}": store.manifest(s.name, s.key) for s in built}
    line = {
        "arm": arm.name,
        "key": key,
        "seconds": {name: round(m["seconds"], 1) for name, m in manifests.items()},
        "threads": {name: m["machine"]["threads"] for name, m in manifests.items()},
        "trained_in": {
            f"{s.name}/{s.key}": manifests[f"{s.name}/{s.key}"]["runtime"]["dtype"]
            for s in built
            if (store.folder(s.name, s.key) / SUMMARY).exists()
        },
        "cpu": {name: m["machine"]["cpu"] for name, m in manifests.items()},
    }
    records.append(folder / TIMES, [line])


def kept_times(folder: Path) -> list[dict[str, Any]]:
    """The lines of a folder; none where nothing was kept."""
    path = folder / TIMES
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def core_minutes(folder: Path, keys: Collection[str]) -> float | None:
    """Minutes of a core that the stages of the arms with these keys took, each once: seconds times
    threads; None where nothing was kept of one of the arms."""
    lines = kept_times(folder)
    if not lines or not set(keys) <= {line["key"] for line in lines}:
        return None
    spent = {
        stage: seconds * line["threads"][stage]
        for line in lines
        if line["key"] in keys
        for stage, seconds in line["seconds"].items()
    }
    return sum(spent.values()) / 60


def cpus(folder: Path) -> list[str]:
    """The processors that the stages ran on."""
    return sorted({cpu for line in kept_times(folder) for cpu in line["cpu"].values()})


def trained_in(folder: Path, keys: Collection[str]) -> dict[str, list[str]]:
    """The precisions of the stages that train, by stage, of the arms with these keys."""
    found: dict[str, set[str]] = {}
    for line in kept_times(folder):
        if line["key"] in keys:
            for stage, dtype in line["trained_in"].items():
                found.setdefault(stage.partition("/")[0], set()).add(dtype)
    return {stage: sorted(types) for stage, types in sorted(found.items())}
