"""Every scenario of the chosen scale, timed by the synchronised clock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from benchmarks.clock import CLOCK, replayed
from benchmarks.isolated import measured_apart
from benchmarks.networks import DTYPES
from benchmarks.runner import prepared, time_workload, work_of
from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.workloads import trains
from davae.core.hashing import digest
from davae.core.records import BENCHMARKS as SUITE
from davae.core.records import SCHEMA
from davae.features.registry import open_extractor
from davae.measure.timing import Clock

LONG = pytest.mark.timeout(0)
MARKS = {
    "cpu": [],
    "full_size": [pytest.mark.full_size, LONG],
    "gpu": [pytest.mark.bench_gpu, LONG],
}
PARAMETERS = [pytest.param(s, id=s.name, marks=MARKS[s.tier]) for s in SCENARIOS]


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("scenario", PARAMETERS)
def test_scenario(
    benchmark: Any, scenario: Scenario, request: pytest.FixtureRequest, failures: list
) -> None:
    """Build it with random weights and time it; one that fails leaves a row with its error."""
    run(benchmark, scenario, request, failures)


@pytest.mark.benchmark(timer=CLOCK)
def test_own_model(benchmark: Any, request: pytest.FixtureRequest, failures: list) -> None:
    """A forward of the model that --model names."""
    model = request.config.getoption("--model")
    if not model:
        pytest.skip("no --model pkg.module:factory")
    run(benchmark, Scenario(model, "forward", "native"), request, failures)


def run(benchmark: Any, scenario: Scenario, request: pytest.FixtureRequest, failures: list) -> None:
    """Time the scenario, here or in a process of its own."""
    option = request.config.getoption
    scenario = replace(scenario, small=option("--small"))
    about = {
        "run_id": request.getfixturevalue("run_id"), "key": digest(scenario),
        "model": scenario.model, "preset": scenario.model, "form": scenario.form,
        "stage": scenario.stage, "batch": scenario.batch, "dtype": scenario.dtype,
        "compile": scenario.compile, "fused": scenario.fused, "tier": scenario.tier,
        "seed": 0, "isolated": option("--isolate"), "suite": SUITE, "schema": SCHEMA,
        "status": "ok", "error": "", "weights": "",
    }  # fmt: skip
    try:
        about["weights"] = weights(scenario)
        benchmark.extra_info.update(about)
        if option("--isolate"):
            apart = measured_apart(request.node, request.config)
            replayed(benchmark, apart["stats"]["data"])
            benchmark.extra_info.update(apart["extra_info"], isolated=True, run_id=about["run_id"])
        else:
            time_here(benchmark, scenario, option("--device"))
    except (Exception, pytest.fail.Exception) as error:  # the latter: out of time
        benchmark.has_error = True  # or the plugin lists what was timed before it failed
        failed = {**about, "status": "failed", "error": f"{type(error).__name__}: {error}"}
        failures.append({"name": request.node.name, "extra_info": failed})
        raise


def weights(s: Scenario) -> str:
    """What the row says of its weights."""
    if s.stage == "forward":
        return "of the factory"
    if s.stage.startswith("features"):
        return open_extractor(s.model).weights
    return "random, a small stand-in" if s.small else "random"


def time_here(benchmark: Any, scenario: Scenario, device: str) -> None:
    """Build, count and time the scenario in this process."""
    with torch.inference_mode(not trains(scenario)):
        scenario, built = prepared(scenario, device)
        benchmark.extra_info["batch"] = scenario.batch
        clock = Clock(device, now=CLOCK.now, wait=CLOCK.wait)
        time_workload(
            benchmark, built, clock, rounds=scenario.rounds, dtype=DTYPES[scenario.dtype],
            work=lambda: work_of(scenario, device, built),
        )  # fmt: skip
