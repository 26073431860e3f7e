"""Every scenario of the CPU tier, timed by the synchronised clock."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.workloads import workload
from davae.core.runtime import Runtime
from davae.measure.flops import count_flops
from davae.measure.memory import peak_of
from davae.measure.timing import Clock, warm_up

BLOCK_SECONDS = 0.05
CLOCK = Clock()
AGREE = 0.01
"""Counted FLOPs and a closed form may differ by this share."""


def cases() -> list[Any]:
    """A parameter a scenario; those of full size are marked."""
    marks = {"full_size": [pytest.mark.full_size], "cpu": []}
    return [pytest.param(s, id=s.name, marks=marks[s.tier]) for s in SCENARIOS]


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("scenario", cases())
def test_scenario(benchmark: Any, scenario: Scenario) -> None:
    """Warm up, count, and time a scenario."""
    with torch.inference_mode(scenario.stage != "train"):
        built = workload(scenario)
        first, warmup = warm_up(built.run, CLOCK)
        peak, _ = peak_of(built.run)
        flops = 0
        if scenario.compile == "off":
            flops, _ = count_flops(built.run)
        closed = built.flops_closed_form
        if closed and flops and abs(closed / flops - 1) > AGREE:
            raise ValueError(f"{flops} FLOPs counted, {closed} by the closed form")
        benchmark.extra_info.update(
            preset=scenario.preset, model=scenario.preset, form=scenario.form, seed=0,
            stage=scenario.stage, weights="random", resolution_px=built.resolution_px,
            tokens=built.tokens, channels=built.channels, batch=scenario.batch,
            steps=built.steps, cfg_forwards=built.cfg_forwards, dtype=scenario.dtype,
            compile=scenario.compile, attention=Runtime().attention, device="cpu",
            threads=torch.get_num_threads(), timer=CLOCK.name, first_call_s=first,
            warmup_runs=len(warmup), flops_run=flops, flops_image=flops / built.images,
            flops_closed_form=closed, params=built.params, peak_bytes=peak.bytes, peak_of=peak.of,
            images=built.images,
        )  # fmt: skip
        repeats = max(1, math.ceil(BLOCK_SECONDS / warmup[-1]))
        benchmark.pedantic(built.run, rounds=scenario.rounds, iterations=repeats)
    rates = sorted(built.images / s for s in benchmark.stats.stats.data)
    benchmark.extra_info["img_per_s"] = built.images / benchmark.stats.stats.median
    benchmark.extra_info["img_per_s_low"] = rates[0]
    benchmark.extra_info["img_per_s_high"] = rates[-1]
