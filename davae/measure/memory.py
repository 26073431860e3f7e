"""The peak of memory that a run takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

T = TypeVar("T")
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
"""Linux: the process's memory, and where 5 is written to start its peak anew."""


@dataclass(frozen=True)
class Peak:
    """A peak of memory and what it is of."""

    bytes: int
    of: str
    """`allocator`: tensors on the GPU; `process`: resident memory, weights and libraries included,
    during the run; `process since its start`, where the system starts no peak anew."""


def peak_of(run: Callable[[], T], device: str | torch.device = "cpu") -> tuple[Peak, T]:
    """(peak, result) of `run()`."""
    where: Any = torch.device(device)
    if where.type == "cuda":
        torch.cuda.synchronize(where)
        torch.cuda.reset_peak_memory_stats(where)
        result = run()
        torch.cuda.synchronize(where)
        return Peak(torch.cuda.max_memory_allocated(where), "allocator"), result
    fresh = start_anew()
    result = run()
    return Peak(resident_peak(), "process" if fresh else "process since its start"), result


def start_anew() -> bool:
    """Start the process's peak anew; False where the system does not allow it."""
    try:
        RESET.write_text("5")
    except OSError:
        return False
    return True


def resident_peak() -> int:
    """Bytes of the process's peak resident memory (VmHWM)."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", STATUS.read_text(), re.MULTILINE)
    assert found, f"{STATUS} has no VmHWM"
    return int(found.group(1)) * 1024
