"""`--isolate`: a case in a fresh process with a compile cache of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

PASSED_ON = ("--device", "--scale", "--model")


def ended(code: int) -> str:
    """How a process ended: by itself or, with a code below 0, by a signal, as of a kernel that is
    out of memory."""
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"


def measured_apart(item: Any, config: pytest.Config) -> dict[str, Any]:
    """The entry of the case in the file of a pytest process of its own.

    Raises RuntimeError with that process's error where it fails."""
    with tempfile.TemporaryDirectory(prefix="davae_isolated") as scratch:
        out = Path(scratch) / "out.json"
        words = [f"{name}={config.getoption(name)}" for name in PASSED_ON]
        words += ["--small"] if config.getoption("--small") else []
        command = [
            sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=",
            f"--rootdir={config.rootpath}", item.nodeid, f"--benchmark-json={out}", *words,
        ]  # fmt: skip
        environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(Path(scratch) / "compiled")}
        done = subprocess.run(
            command, cwd=config.rootpath, env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            lines = [x for x in done.stdout.splitlines() if x.startswith("E  ")]
            said = lines[0].removeprefix("E").strip() if lines else done.stderr.strip()[-300:]
            raise RuntimeError(f"in its own process, which {ended(done.returncode)}: {said}")
        [case] = json.loads(out.read_text())["benchmarks"]
        return case
