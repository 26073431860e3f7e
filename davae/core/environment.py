"""What a result was measured on: machine, versions and revision. No host names."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

PACKAGES = (
    "torch",
    "torchvision",
    "diffusers",
    "clean-fid",
    "numpy",
    "scipy",
    "scikit-learn",
    "scikit-image",
)


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _git(*args: str) -> str:
    """Output of git in the source tree; empty where the package is not in a checkout."""
    try:
        where = Path(__file__).resolve().parent
        done = subprocess.run(["git", *args], cwd=where, capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


@lru_cache(maxsize=1)
def revision() -> dict[str, Any]:
    """`git_sha` (empty outside a checkout) and `git_dirty`, read once a process."""
    return {"git_sha": _git("rev-parse", "HEAD"), "git_dirty": bool(_git("status", "--porcelain"))}


@lru_cache(maxsize=1)
def machine() -> dict[str, Any]:
    """CPU, cores, memory and GPU names."""
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    memory = (
        os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    )
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "gpus": gpus,
        "system": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
    }


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Python's and the main packages' versions; empty for one that is not installed."""

    def version(name: str) -> str:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return ""

    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
