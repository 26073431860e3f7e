"""What images cost: the training that they rest on."""

from __future__ import annotations

import json

from davae.core.records import Measurement
from davae.core.store import SUMMARY
from davae.stages.stage import Pipeline, Stage


def training_cost(pipeline: Pipeline, stage: Stage) -> list[Measurement]:
    """TFLOP and seconds of all the training that a row's images rest on, base models and decoder
    included; not of what is read for its size alone."""
    trained: dict[str, tuple[float, float]] = {}
    waiting = [stage]
    while waiting:
        part = waiting.pop()
        scratch = part.name == "adapted" and part.config["adapt"].init == "scratch"
        shape_alone = {"base_dit"} if scratch else set()
        waiting += [stage for role, stage in part.upstream.items() if role not in shape_alone]
        summary = pipeline.store.folder(part.name, part.key) / SUMMARY
        if not summary.exists():
            continue
        counted = json.loads(summary.read_text())
        seconds = pipeline.store.manifest(part.name, part.key)["seconds"]
        trained[part.key] = (counted["steps"] * counted["flops_step"] / 1e12, seconds)
    tflop, seconds = (sum(values) for values in zip((0.0, 0.0), *trained.values(), strict=True))
    everything = "base models and decoder included"
    return [
        Measurement(name, value, 1, higher_is_better=False, protocol=f"{source}, {everything}")
        for name, value, source in (
            ("training_tflop", tflop, "counted"),
            ("training_seconds", seconds, "wall clock"),
        )
    ]
