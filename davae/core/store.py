"""The artifact store: one folder a (stage, key), complete if it exists.

A stage works in `<key>.partial` under a file lock and the folder is renamed into place at the
end. A killed process leaves the partial folder, from which the stage resumes.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from davae.core.environment import machine, revision, versions
from davae.core.ranks import ranks

MANIFEST = "manifest.json"
CLOCK = "scratch.clock.json"
LOG = "log.jsonl"
"""A training stage's log: one line a step."""
SUMMARY = "train.json"
"""What a training stage took."""
MEASUREMENTS = "metrics.json"
"""What a measuring stage leaves in its folder."""


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically: to a neighbour, then rename."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")
    os.replace(temporary, path)


@dataclass(frozen=True)
class Store:
    """A directory of artifacts, and one that is only read: the models that the project ships."""

    root: Path
    shipped: Path | None = None

    def folder(self, stage: str, key: str) -> Path:
        """Where the artifact of `stage` at `key` is, or will be."""
        own = self.root / stage / key
        if self.shipped is None or own.is_dir():
            return own
        ready = self.shipped / stage / key
        return ready if ready.is_dir() else own

    def has(self, stage: str, key: str) -> bool:
        """Whether the artifact is complete."""
        return self.folder(stage, key).is_dir()

    def built(self, stage: str, key: str) -> bool:
        """Whether the artifact is complete and the store's own."""
        return (self.root / stage / key).is_dir()

    def manifest(self, stage: str, key: str) -> dict[str, Any]:
        """The manifest of a complete artifact; raises ValueError where it is damaged."""
        return read_json(self.folder(stage, key) / MANIFEST)

    def build(
        self,
        stage: str,
        key: str,
        inputs: dict[str, Any],
        make: Callable[[Path], None],
        runtime: dict[str, Any],
    ) -> Path:
        """The artifact's folder; `make(partial_folder)` is called if it does not exist yet.

        `inputs` (what the key is a hash of) and `runtime` go into the manifest. Scratch files
        (`scratch.*`) that `make` keeps for resuming are removed before the folder is published.
        Every rank calls `make`, and the main one does the rest.
        """
        final, here = self.folder(stage, key), ranks()
        if here.told(here.main and final.is_dir()):
            return final
        final.parent.mkdir(parents=True, exist_ok=True)
        partial = final.with_name(final.name + ".partial")
        with FileLock(str(final) + ".lock") if here.main else nullcontext():
            if here.told(here.main and final.is_dir()):
                return final
            if here.main:
                partial.mkdir(exist_ok=True)
                spent, start = _seconds_so_far(partial), time.monotonic()
                write_json(partial / CLOCK, {"spent": spent, "since": time.time()})
            here.wait()
            make(partial)
            here.wait()
            if here.main:
                seconds = spent + time.monotonic() - start
                for scratch in partial.glob("scratch.*"):
                    scratch.unlink()
                identity = {
                    "stage": stage,
                    "key": key,
                    "inputs": inputs,
                    "seconds": seconds,
                    "runtime": runtime,
                }
                made = {**revision(), "machine": machine(), "versions": versions()}
                write_json(partial / MANIFEST, {**identity, **made})
                os.replace(partial, final)
            here.wait()
        return final


def read_json(path: Path) -> Any:
    """The content of a file of the store; raises ValueError with what to do where it is damaged."""
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        what = path.parent if path.name in (MANIFEST, CLOCK, MEASUREMENTS) else path
        raise ValueError(
            f"{path} is damaged ({error}): remove {what}, and it is made again"
        ) from error


def _seconds_so_far(partial: Path) -> float:
    """Seconds of the interrupted attempts: each from its start to the last write it made."""
    clock = partial / CLOCK
    if not clock.exists():
        return 0.0
    before = read_json(clock)
    last = max(path.stat().st_mtime for path in partial.iterdir())
    return before["spent"] + max(0.0, last - before["since"])


def read_log(folder: Path) -> list[dict[str, float]]:
    """The lines of a stage's training log."""
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
