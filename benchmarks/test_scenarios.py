"""Every scenario of the CPU tier, timed by the synchronised clock."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchmarks.runner import time_workload
from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.workloads import workload
from davae.measure.timing import Clock

CLOCK = Clock()
MARKS = {"cpu": [], "full_size": [pytest.mark.full_size]}


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize(
    "scenario", [pytest.param(s, id=s.name, marks=MARKS[s.tier]) for s in SCENARIOS]
)
def test_scenario(benchmark: Any, scenario: Scenario) -> None:
    """Build it with random weights and time it."""
    benchmark.extra_info.update(
        preset=scenario.preset, model=scenario.preset, form=scenario.form, stage=scenario.stage,
        batch=scenario.batch, dtype=scenario.dtype, compile=scenario.compile, weights="random",
        seed=0,
    )  # fmt: skip
    with torch.inference_mode(scenario.stage != "train"):
        built = workload(scenario)
        counted = scenario.compile == "off"
        time_workload(benchmark, built, CLOCK, rounds=scenario.rounds, counted=counted)
