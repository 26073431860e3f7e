"""`python -m benchmarks.counters [CASE ...]`: work counters of scenarios, as JSON.

Compiled scenarios are left out: what a compiler makes of a network is not dispatched operator by
operator.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

import torch

from benchmarks.scenarios import CPU, Scenario, named
from benchmarks.workloads import trains, workload
from davae.core.runtime import Runtime
from davae.measure.counters import count_work

COUNTED = ("nano", "tiny")
"""Models whose scenarios are counted by default: seconds in all."""


def counted(scenario: Scenario) -> dict[str, Any]:
    """The counters of a scenario's second run: the first one fills caches."""
    with torch.inference_mode(not trains(scenario)):
        built = workload(scenario)
        built.run()
        return asdict(count_work(built.run))


def main(names: list[str]) -> None:
    """Count and print {"torch": version, "cases": {name: counters}}."""
    Runtime().apply()
    chosen = [named(name) for name in names] or [
        s for s in CPU if s.compile == "off" and s.model in COUNTED and s.stage != "draw"
    ]
    cases = {scenario.name: counted(scenario) for scenario in chosen}
    print(json.dumps({"torch": torch.__version__, "cases": cases}, indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
