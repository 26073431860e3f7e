"""Timing a workload under pytest-benchmark, and what is recorded beside its times."""

from __future__ import annotations

import ctypes
import gc
import math
import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from benchmarks.scenarios import FITS, Scenario
from benchmarks.workloads import STAGES, Workload, workload
from davae.core.runtime import Runtime
from davae.measure.board import Board
from davae.measure.counters import count_work
from davae.measure.flops import count_flops
from davae.measure.memory import peak_of
from davae.measure.roofline import convolution_rate, matmul_rate
from davae.measure.timing import Clock, warm_up
from davae.models.streamline import LEANER

BLOCK_SECONDS = 0.05
"""A timed block lasts at least this long."""
AGREE = 0.01
"""Counted FLOPs and a closed form may differ by this share."""
CEILINGS = {"matmul": matmul_rate, "convolution": convolution_rate}
MOST, MOST_SMALL = 256, 4
"""Images that a batch is tried up to, and of a stand-in, which would fit thousands."""


def checked(counted: int, closed: int) -> None:
    """Raise ValueError where a closed form says otherwise than the FLOPs counted."""
    if closed and abs(closed / counted - 1) > AGREE:
        raise ValueError(f"{counted} FLOPs counted, {closed} by the closed form")


def work_of(s: Scenario, device: str, built: Workload) -> dict[str, int]:
    """FLOPs and bytes of one eager run, and the FLOPs of the network as defined.

    A whole sampling of a large network is counted on `meta`, where nothing is computed and nothing
    is known of the bytes: they are 0."""
    plain, by_meta = replace(s, compile="off"), s.tier != "cpu" and s.stage == "sample"
    if by_meta:
        counted = STAGES[s.stage](replace(plain, dtype="float32", steps=1), "meta")
        parts, times = counted.parts, {"denoise": built.steps}  # all steps are alike: one is run
    else:
        counted = built if s.compile == "off" else workload(plain, device)
        unit, units = counted.counted or (counted.run, 1)
        parts, times = {"run": unit}, {"run": units}
    total = dict.fromkeys(("flops_forward", "bytes_moved", "flops_defined"), 0)
    for name, part in parts.items():
        work, factor = count_work(part), times.get(name, 1)
        total["flops_forward"] += factor * work.flops
        total["flops_defined"] += factor * (defined_flops(counted, part) or work.flops)
        if not by_meta:
            total["bytes_moved"] += factor * (work.bytes_read + work.bytes_written)
    checked(total["flops_forward"], built.flops_closed_form)
    return total


def defined_flops(built: Workload, run: Callable[[], Any]) -> int:
    """FLOPs of a part of it with diffusers' own blocks in place of the leaner ones, which compute
    the same function with fewer products; 0 where it has none of these."""
    plain = {leaner: original for original, leaner in LEANER.items()}
    modules = [m for network in built.networks for m in network.modules() if type(m) in plain]
    if not modules:
        return 0
    for module in modules:
        module.__class__ = plain[type(module)]
    flops, _ = count_flops(run)
    for module in modules:
        module.__class__ = LEANER[type(module)]
    return flops


def largest_batch(fits: Callable[[int], bool], most: int = MOST) -> int:
    """The largest batch up to `most` that fits, by doubling and halving the gap.

    Raises ValueError where one image does not fit."""
    if not fits(1):
        raise ValueError("a batch of one image does not fit")
    low, high = 1, 2
    while high <= most and fits(high):
        low, high = high, 2 * high
    high = min(high, most + 1)
    while high - low > max(1, low // 16):
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def fits_device(s: Scenario, device: str, limit_bytes: int = 0) -> Callable[[int], bool]:
    """Whether the scenario runs at a batch: without an error for memory, and, where a limit is
    given, within it."""

    def fits(batch: int) -> bool:
        built = None
        try:
            built = workload(replace(s, batch=batch), device)
            peak, _ = peak_of(built.run, device)
        except torch.OutOfMemoryError:
            return False
        finally:
            del built
            gc.collect()
            if torch.device(device).type == "cuda":
                torch.cuda.empty_cache()
        return not limit_bytes or peak.bytes <= limit_bytes

    return fits


def prepared(s: Scenario, device: str) -> tuple[Scenario, Workload]:
    """The scenario with its batch settled, and its workload."""
    if s.batch == FITS:
        most = MOST_SMALL if s.small else MOST
        s = replace(s, batch=largest_batch(fits_device(s, device), most))
    return s, workload(s, device)


def release(device: str) -> None:
    """Give back what earlier cases left, so that a peak is of this one."""
    gc.collect()
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()
    elif sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


def time_workload(
    benchmark: Any,
    built: Workload,
    clock: Clock,
    *,
    rounds: int,
    work: Callable[[], dict[str, int]],
    dtype: torch.dtype = torch.float32,
) -> None:
    """Time the first call, warm up until steady, and time `rounds` blocks by `clock`, which is the
    benchmark's timer too; the machine's own rate is taken before and after, and the work counted
    at last. Under --benchmark-disable it runs once and nothing is measured."""
    device, parts = str(clock.device), Parts(built, clock)
    if benchmark.disabled:
        parts.run()
        return
    release(device)
    peak, first = peak_of(lambda: clock.timed(parts.run)[0], clock.device)
    # a single round is of a run of many steps alike, of which the first call made all
    warmup = () if rounds == 1 else warm_up(parts.run, clock)
    one = warmup[-1] if warmup else first
    repeats = max(1, math.ceil(BLOCK_SECONDS / one)) if one else 1
    ceiling = CEILINGS.get(built.ceiling)
    rates = [ceiling(device, dtype=dtype)] if ceiling else []
    parts.seconds.clear()
    parts.runs = 0
    with watched(device) as figures:
        benchmark.pedantic(parts.run, rounds=rounds, iterations=repeats)
    rates += [ceiling(device, dtype=dtype)] if ceiling else []
    seconds, counted = benchmark.stats.stats, work()
    flops = counted["flops_forward"]
    benchmark.extra_info |= {
        "params": built.params, "tokens": built.tokens, "channels": built.channels,
        "images": built.images, "resolution_px": built.resolution_px, "steps": built.steps,
        "cfg_forwards": built.cfg_forwards, **counted, "flops_image": flops / built.images,
        "flops_closed_form": built.flops_closed_form, "first_call_s": first,
        "warmup_runs": len(warmup), "timer": clock.name, "device": device,
        "threads": torch.get_num_threads(), "attention": Runtime().attention,
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        "peak_bytes": peak.bytes, "peak_of": peak.of,
        "img_per_s": built.images / seconds.median, "img_per_s_low": built.images / seconds.max,
        "img_per_s_high": built.images / seconds.min,
        "p50_s": float(np.quantile(seconds.data, 0.5)),
        "p90_s": float(np.quantile(seconds.data, 0.9)),
        **{f"{name}_s": statistics.median(values) for name, values in parts.seconds.items()},
        **figures(built.images * parts.runs),
    }  # fmt: skip
    if rates and flops:
        rate = statistics.mean(rates)
        benchmark.extra_info |= {
            "ceiling": built.ceiling, "ceiling_flops_per_second": rate,
            "share_of_ceiling": counted.get("flops_defined", flops) / seconds.median / rate,
            "share_of_ceiling_by_products_run": flops / seconds.median / rate,
        }  # fmt: skip


class Parts:
    """A run whose stages, where it has some, are timed within it."""

    def __init__(self, built: Workload, clock: Clock):
        self.built, self.clock = built, clock
        self.seconds: dict[str, list[float]] = {}
        self.runs = 0

    def run(self) -> None:
        """The whole run, its stages one after the other."""
        self.runs += 1
        if not self.built.parts:
            self.built.run()
        for name, part in self.built.parts.items():
            self.seconds.setdefault(name, []).append(self.clock.timed(part)[0])


@contextmanager
def watched(device: str) -> Iterator[Callable[[int], dict[str, Any]]]:
    """What the GPU says of itself between entering and leaving, for a number of images; nothing
    for a CPU."""
    where = torch.device(device)
    if where.type != "cuda":
        yield lambda images: {}
        return
    with Board(str(torch.cuda.get_device_properties(where).uuid)) as board:
        yield board.figures
