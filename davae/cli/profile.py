"""`davae profile`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def run(argv: list[str]) -> int:
    """Entry point: the scenarios are the repository's, so that this needs a checkout of it."""
    if not Path("benchmarks/profiled.py").exists():
        print(
            "error: there is no benchmarks/ here; run it in a checkout of the repository",
            file=sys.stderr,
        )
        return 2
    return subprocess.run([sys.executable, "-m", "benchmarks.profiled", *argv]).returncode
