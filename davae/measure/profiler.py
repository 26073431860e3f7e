"""Where the time of a run goes: a trace of torch.profiler, and its operators by group.

The trace is a `*.pt.trace.json` as Perfetto (ui.perfetto.dev) and TensorBoard with
torch-tb-profiler read it. Groups are those of the work counters, so that time, calls and bytes
stand side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function, tensorboard_trace_handler

from davae.measure.counters import ATTENTION, GROUPS, MLP, count_work, group_of

RANGE = "davae/"
"""Prefix of the ranges that mark the modules whose products have a group of their own."""
BACKWARD = "autograd::engine::evaluate_function"
"""Prefix of the events that surround the operators of one gradient."""


@dataclass(frozen=True)
class GroupTime:
    """What a group of operators takes in one run."""

    group: str
    seconds: float
    """Of the operators themselves: on the CPU, or of their kernels on the GPU."""
    calls: int
    bytes_moved: int


@dataclass(frozen=True)
class Profile:
    """A trace and its summary."""

    trace: Path
    groups: tuple[GroupTime, ...]
    """In the order of GROUPS."""
    flops: int


def kind_of(name: str) -> str:
    """`attention` or `mlp` for a module's dotted name that says so; else empty."""
    last = name.rpartition(".")[2].lower()
    if last.startswith(ATTENTION):
        return "attention"
    return "mlp" if last in MLP else ""


@contextmanager
def marked(networks: tuple[nn.Module, ...]) -> Iterator[None]:
    """Attention and MLP modules leave ranges in the trace."""
    with ExitStack() as stack:
        for network in networks:
            for name, module in network.named_modules():
                if kind_of(name):
                    for handle in mark(module, kind_of(name)):
                        stack.callback(handle.remove)
        yield


def mark(module: nn.Module, kind: str) -> tuple[Any, Any]:
    """Hooks that open and close a range around the module's forward."""
    open_ranges: list[record_function] = []

    def enter(*_: Any) -> None:
        open_ranges.append(record_function(f"{RANGE}{kind}"))
        open_ranges[-1].__enter__()

    def leave(*_: Any) -> None:
        open_ranges.pop().__exit__(None, None, None)

    return module.register_forward_pre_hook(enter), module.register_forward_hook(leave)


def profile_run(
    run: Callable[[], object],
    folder: Path,
    *,
    networks: tuple[nn.Module, ...] = (),
    device: str = "cpu",
    worker: str = "davae",
) -> Profile:
    """Trace one warmed-up run and write it below `folder`; counters come from another run.

    networks: whose attention and MLP modules are told apart. worker: the trace's name."""
    run()
    work = count_work(run)
    activities = [ProfilerActivity.CPU]
    if torch.device(device).type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    before = set(folder.glob("*.json"))
    with marked(networks):
        run()
        with profile(
            activities=activities, on_trace_ready=tensorboard_trace_handler(str(folder), worker)
        ) as profiler:
            run()
            if torch.device(device).type == "cuda":
                torch.cuda.synchronize(device)
    [trace] = set(folder.glob("*.json")) - before
    seconds = group_seconds(profiler.events(), cuda=len(activities) > 1)
    groups = tuple(
        GroupTime(group, seconds[group], work.groups[group], work.group_bytes[group])
        for group in GROUPS
    )
    return Profile(trace, groups, work.flops)


def group_seconds(events: Any, cuda: bool) -> Counter[str]:
    """Seconds of the operators themselves by group."""
    seconds: Counter[str] = Counter()
    forward: dict[tuple[int, int], set[str]] = {}
    for event in events:
        if not event.name.startswith("aten::"):
            continue
        around = modules_around(event, forward)
        if event.sequence_nr >= 0:  # the last operator of a number is the one with a gradient
            forward[event.thread, event.sequence_nr] = around
        micro = event.self_device_time_total if cuda else event.self_cpu_time_total
        seconds[group_of_event(event, around)] += micro / 1e6
    return seconds


def modules_around(event: Any, forward: dict[tuple[int, int], set[str]]) -> set[str]:
    """The kinds of marked modules that an operator runs in; for one of a backward pass those of
    the forward operator whose gradient it takes, found by (thread, sequence number)."""
    around: set[str] = set()
    parent = event.cpu_parent
    while parent is not None:
        if parent.name.startswith(RANGE):
            around.add({"attention": "attn", "mlp": "mlp"}[parent.name.removeprefix(RANGE)])
        elif parent.name.startswith(BACKWARD):
            around |= forward.get((parent.fwd_thread, parent.sequence_nr), set())
        parent = parent.cpu_parent
    return around


def group_of_event(event: Any, around: set[str]) -> str:
    """The group of an operator's event, by its name and by the modules around it."""
    name = event.name.removeprefix("aten::")
    packet = getattr(torch.ops.aten, name, None)
    if packet is None:
        return "elementwise"
    if "conv" in name:  # composites and the libraries' own, as mkldnn_convolution
        return "conv"
    overload = getattr(packet, packet.overloads()[0])
    if name in ("linear", "matmul"):
        name = "mm"
    return group_of(overload, name, around)
