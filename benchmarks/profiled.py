"""`python -m benchmarks.profiled CASE`: the trace of a scenario, and its time by group."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch
import tyro

from benchmarks.scenarios import named
from benchmarks.workloads import trains, workload
from davae.analysis.tables import to_markdown
from davae.cli.guard import guard
from davae.core.runtime import Runtime
from davae.measure.profiler import Profile, profile_run


@dataclass(frozen=True)
class Options:
    """Trace one run of a scenario."""

    case: Annotated[str, tyro.conf.Positional]
    """A name of benchmarks/scenarios.py."""
    out: Path = Path("runs/profile")
    """Traces go to OUT/CASE."""
    device: str = "cpu"
    """cpu, cuda or cuda:N."""


def table(found: Profile) -> pd.DataFrame:
    """A group a row: milliseconds, share, calls, megabytes and how fast they move."""
    whole = sum(group.seconds for group in found.groups)
    rows = [
        {
            "group": group.group,
            "ms": 1e3 * group.seconds,
            "share": group.seconds / whole,
            "calls": group.calls,
            "MB": group.bytes_moved / 1e6,
            "GB/s": group.bytes_moved / group.seconds / 1e9 if group.seconds else 0.0,
        }
        for group in found.groups
    ]
    return pd.DataFrame(rows)


def main(argv: list[str] | None = None) -> int:
    """Trace, print the table, and say how to look at the trace."""
    options = tyro.cli(Options, prog="davae profile", args=argv)
    return guard(lambda: trace(options))


def trace(options: Options) -> None:
    """Trace the scenario that the options name."""
    scenario = named(options.case)
    if scenario.compile != "off":
        raise ValueError(f"{options.case} is compiled: its operators are not dispatched one by one")
    Runtime(device=options.device).apply()
    folder = options.out / options.case
    folder.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode(not trains(scenario)):
        built = workload(scenario, options.device)
        found = profile_run(
            built.run, folder, networks=built.networks, device=options.device, worker=options.case
        )
    text = to_markdown(table(found))
    (folder / "table.md").write_text(text)
    print(f"{text}\nTrace: {found.trace}")
    print(f"Open it at https://ui.perfetto.dev, or: tensorboard --logdir {options.out}")


if __name__ == "__main__":
    sys.exit(main())
