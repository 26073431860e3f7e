"""`python -m benchmarks.gpu --out DIR`: the paper's settings on one GPU without network: the
headline and the suite at the scale gpu, in groups, the dearest last.

What has ended is kept, and the same command goes on after it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

GROUPS = (
    "sd35m_1k and not sample and not compile and not fits",
    "sd35m_1k and sample and not 2048px",
    "(imagenet512 and not compile) or dcae or flux_1k",
    "compile or fits",
    "sample and 2048px",
)
"""The suite's scenarios by pytest's -k, each group in a process of its own."""
SUITE = "gpu.benchmark.json"
ENDED = "ended.json"
"""In the folder: the command lines that succeeded."""


@dataclass(frozen=True)
class Options:
    """Run the GPU's benchmarks and leave their records in a folder."""

    out: Path
    """Where records go."""
    device: str = "cuda"
    """cuda, cuda:N; cpu with --small."""
    small: bool = False
    """Stand-ins of a few thousand weights: the same commands on a CPU."""
    groups: tuple[str, ...] = GROUPS
    """Scenarios that pytest's -k picks, a process each."""


def commands(options: Options) -> list[list[str]]:
    """The command lines, in order."""
    small = ["--small"] if options.small else []
    headline = [
        "-m", "benchmarks.headline", "--out", str(options.out / "headline"), "--runtime.device",
        options.device, "--runtime.dtype", "bfloat16", "--small", str(options.small),
    ]  # fmt: skip
    suite = [
        [
            *("-m", "pytest", "benchmarks/test_scenarios.py", "--scale", "gpu"),
            *("--device", options.device, *small, "-k", group, "-o", "addopts=", "-q"),
            *("--benchmark-json", str(part(options, index))),
        ]
        for index, group in enumerate(options.groups)
    ]
    return [headline, *suite]


def part(options: Options, index: int) -> Path:
    """The file of one group; empty while it runs."""
    return options.out / f"group{index}.benchmark.json"


def conditions(report: dict[str, Any]) -> dict[str, Any]:
    """What all groups of one file have to share."""
    about = report["machine_info"]["davae"]
    return {
        "gpus": about["machine"]["gpus"],
        "versions": about["versions"],
        **report["commit_info"],
    }


def join(options: Options) -> None:
    """Put the groups' files into one, with the rates that the first measured; cases in order.

    Raises ValueError where they are of several GPUs, versions or revisions."""
    files = [part(options, index) for index in range(len(options.groups))]
    reports = [json.loads(f.read_text()) for f in files if f.exists() and f.stat().st_size]
    if not reports:
        return
    first, *others = map(conditions, reports)
    for other in others:
        unlike = {name: (first[name], other[name]) for name in first if first[name] != other[name]}
        if unlike:
            raise ValueError(f"{options.out} holds groups of several conditions: {unlike}")
    for name in ("benchmarks", "failed"):
        reports[0][name] = [case for report in reports for case in report[name]]
    (options.out / SUITE).write_text(json.dumps(reports[0], indent=1))


def main(argv: list[str] | None = None) -> int:
    """Run every command that has not succeeded yet, also after one that fails; the exit code says
    whether one did."""
    options = tyro.cli(Options, prog="python -m benchmarks.gpu", args=argv)
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / ENDED
    ended: list[list[str]] = json.loads(file.read_text()) if file.exists() else []
    codes = []
    for words in commands(options):
        line = f"python {' '.join(words)}"
        if words in ended:
            print(f"ended before: {line}", flush=True)
            continue
        print(line, flush=True)
        codes.append(subprocess.run([sys.executable, *words], check=False).returncode)
        if codes[-1] == 0:
            ended.append(words)
            file.write_text(json.dumps(ended, indent=1))
        join(options)
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
