"""`python -m benchmarks.gpu --out DIR`: the paper's settings on one GPU, in 10 minutes, without
network: the headline and the suite at the scale gpu, in groups, the dearest last. What was measured
is kept, whatever ends it before its time, and the same command goes on with the group after it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro


@dataclass(frozen=True)
class Options:
    """Run the GPU's benchmarks and leave their records in a folder."""

    out: Path
    """Where records go."""
    device: str = "cuda"
    """cuda, cuda:N; cpu with --small."""
    small: bool = False
    """Stand-ins of a few thousand weights: the same commands on a CPU."""
    keyword: str = ""
    """Only the scenarios that pytest's -k picks, as one group."""


GROUPS = (
    "sd35m_1k and not sample and not compile and not fits",
    "sd35m_1k and sample and not 2048px",
    "(imagenet512 and not compile) or dcae",
    "flux_1k",
    "fits",
    "compile_regional",
    "compile_whole and imagenet512",
    "compile_whole and sd35m_1k",
    "sample and 2048px",
)
"""The suite's scenarios by pytest's -k, each group in a process of its own."""
SUITE = "gpu.benchmark.json"


def groups(options: Options) -> tuple[str, ...]:
    """What is picked for each process of the suite."""
    return (options.keyword,) if options.keyword else GROUPS


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
            *("--benchmark-json", str(part(options, i))),
        ]
        for i, group in enumerate(groups(options))
    ]
    return [headline, *suite]


def part(options: Options, index: int) -> Path:
    """The file of one group, empty or absent until it has ended."""
    return options.out / f"group{index}.benchmark.json"


def results(options: Options) -> list[Path]:
    """What each command writes when it ends."""
    parts = [part(options, index) for index in range(len(groups(options)))]
    return [options.out / "headline" / "table.md", *parts]


def join(options: Options) -> None:
    """Put the groups' files into one, with what the first says of the machine; cases in order.

    Raises ValueError where GPUs of another name measured some of them."""
    reports = [
        json.loads(path.read_text())
        for path in results(options)[1:]
        if path.exists() and path.stat().st_size
    ]
    if not reports:
        return
    gpus = [report["machine_info"]["davae"]["machine"]["gpus"] for report in reports]
    if any(names != gpus[0] for names in gpus):
        raise ValueError(f"{options.out} holds groups of several GPUs: {gpus}")
    for name in ("benchmarks", "failed"):
        reports[0][name] = [case for report in reports for case in report[name]]
    (options.out / SUITE).write_text(json.dumps(reports[0], indent=1))


def main(argv: list[str] | None = None) -> int:
    """Run every command, also after one has failed; the exit code says whether one did."""
    options = tyro.cli(Options, prog="python -m benchmarks.gpu", args=argv)
    options.out.mkdir(parents=True, exist_ok=True)
    codes = []
    for words, result in zip(commands(options), results(options), strict=True):
        if result.exists() and result.stat().st_size:
            print(f"{result} is there", flush=True)
            continue
        print(f"python {' '.join(words)}", flush=True)
        codes.append(subprocess.run([sys.executable, *words], check=False).returncode)
        join(options)
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
