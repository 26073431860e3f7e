"""`--isolate`: a case in a fresh process with a compile cache of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

PASSED_ON = ("--device", "--scale", "--model")


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
            last = lines[0].removeprefix("E").strip() if lines else done.stderr.strip()[-300:]
            raise RuntimeError(f"in its own process: {last}")
        [case] = json.loads(out.read_text())["benchmarks"]
        return case
