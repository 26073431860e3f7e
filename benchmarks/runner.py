"""Timing a workload under pytest-benchmark, and what is recorded beside its times."""

from __future__ import annotations

import math
from typing import Any

import torch

from benchmarks.workloads import Workload
from davae.core.runtime import Runtime
from davae.measure.flops import count_flops
from davae.measure.memory import peak_of
from davae.measure.timing import Clock, warm_up

BLOCK_SECONDS = 0.05
"""A timed block lasts at least this long."""
AGREE = 0.01
"""Counted FLOPs and a closed form may differ by this share."""


def flops_of(built: Workload) -> int:
    """FLOPs of a run, counted; raises ValueError where a closed form says otherwise."""
    counted, _ = count_flops(built.run)
    closed = built.flops_closed_form
    if closed and abs(closed / counted - 1) > AGREE:
        raise ValueError(f"{counted} FLOPs counted, {closed} by the closed form")
    return counted


def time_workload(
    benchmark: Any, built: Workload, clock: Clock, *, rounds: int, counted: bool = True
) -> None:
    """Warm up until steady, count, and time `rounds` blocks by `clock`, which is the benchmark's
    timer too.

    counted: whether FLOPs can be counted: not where the network is compiled."""
    first, warmup = warm_up(built.run, clock)
    peak, _ = peak_of(built.run, clock.device)
    flops = flops_of(built) if counted else 0
    repeats = max(1, math.ceil(BLOCK_SECONDS / warmup[-1]))
    benchmark.extra_info.update(
        params=built.params, tokens=built.tokens, channels=built.channels, images=built.images,
        resolution_px=built.resolution_px, steps=built.steps, cfg_forwards=built.cfg_forwards,
        flops_forward=flops, flops_image=flops / built.images,
        flops_closed_form=built.flops_closed_form, first_call_s=first, warmup_runs=len(warmup),
        timer=clock.name, device=str(clock.device), threads=torch.get_num_threads(),
        attention=Runtime().attention, peak_bytes=peak.bytes, peak_of=peak.of,
    )  # fmt: skip
    benchmark.pedantic(built.run, rounds=rounds, iterations=repeats)
    seconds = benchmark.stats.stats
    benchmark.extra_info |= {
        "img_per_s": built.images / seconds.median,
        "img_per_s_low": built.images / seconds.max,
        "img_per_s_high": built.images / seconds.min,
    }
