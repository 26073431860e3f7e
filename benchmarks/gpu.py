"""`python -m benchmarks.gpu --out DIR`: the paper's settings on one GPU, in 10 minutes, without
network: the suite at the scale gpu and the headline, one after the other."""

from __future__ import annotations

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
    """Only the scenarios that pytest's -k picks."""


def commands(options: Options) -> list[list[str]]:
    """The command lines, in order."""
    small = ["--small"] if options.small else []
    chosen = ["-k", options.keyword] if options.keyword else []
    suite = [
        *("-m", "pytest", "benchmarks/test_scenarios.py", "--scale", "gpu"),
        *("--device", options.device, *small, *chosen, "-o", "addopts=", "-q"),
        *("--benchmark-json", str(options.out / "gpu.benchmark.json")),
    ]
    headline = [
        "-m", "benchmarks.headline", "--out", str(options.out / "headline"), "--runtime.device",
        options.device, "--runtime.dtype", "bfloat16", "--small", str(options.small),
    ]  # fmt: skip
    return [headline, suite]


def main(argv: list[str] | None = None) -> int:
    """Run every command, also after one has failed; the exit code says whether one did."""
    options = tyro.cli(Options, prog="python -m benchmarks.gpu", args=argv)
    options.out.mkdir(parents=True, exist_ok=True)
    codes = []
    for words in commands(options):
        print(f"python {' '.join(words)}", flush=True)
        codes.append(subprocess.run([sys.executable, *words], check=False).returncode)
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
