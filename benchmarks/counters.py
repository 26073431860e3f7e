"""`python -m benchmarks.counters [CASE ...]`: work counters of scenarios, as JSON.

Compiled scenarios are left out: what a compiler makes of a network is not dispatched operator by
operator. Beside the scenarios of a CPU, bfloat16 ones show casts that float32 has no use for, and
stand-ins of a GPU's scenarios what diffusers' transformers and autoencoders do.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from typing import Any

import torch

from benchmarks.scenarios import BFLOAT16, CPU, Scenario, named
from benchmarks.workloads import trains, workload
from davae.core.runtime import Runtime
from davae.measure.counters import count_work

MODELS = ("nano", "tiny")
"""Models whose scenarios of a CPU are counted by default: seconds in all."""
SMALL = ("denoise", "encode", "decode", "text")
"""Stages of a GPU's scenarios that are counted as stand-ins, one of a model and form."""
STAND_INS = {
    f"small-{s.model}-{s.form}-{s.stage}{'-fused' * s.fused}": replace(
        s, small=True, batch=2, compile="off"
    )
    for s in BFLOAT16
    if s.stage in SMALL
}
CASES: dict[str, Scenario] = {
    **{s.name: s for s in CPU if s.compile == "off" and s.model in MODELS and s.stage != "draw"},
    **{
        s.name: s
        for s in (
            Scenario("nano", stage, batch=2, dtype="bfloat16")  # type: ignore[arg-type]
            for stage in ("sample", "encode", "decode", "train", "train_vae")
        )
    },
    **STAND_INS,
}
"""What is counted by default."""


def counted(scenario: Scenario) -> dict[str, Any]:
    """The counters of a scenario's second run: the first one fills caches."""
    with torch.inference_mode(not trains(scenario)):
        built = workload(scenario)
        built.run()
        return asdict(count_work(built.run))


def tried(scenario: Scenario) -> dict[str, Any]:
    """Its counters, or {"error": why there are none}."""
    try:
        return counted(scenario)
    except Exception as error:  # noqa: BLE001 (whatever it is, the other cases are counted)
        return {"error": f"{type(error).__name__}: {error}"}


def main(names: list[str]) -> None:
    """Count and print {"torch": version, "cases": {name: counters}}."""
    Runtime().apply()
    chosen = {name: CASES.get(name) or named(name) for name in names} or CASES
    cases = {name: tried(scenario) for name, scenario in chosen.items()}
    print(json.dumps({"torch": torch.__version__, "cases": cases}, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
