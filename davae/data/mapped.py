"""Sets of images that lie in a file: read in blocks, at the memory of one block."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any

BLOCK = 64


def blocks(*arrays: Any, size: int = BLOCK) -> Iterator[tuple[Any, ...]]:
    """Consecutive rows of arrays of one length, `size` at a time, the memory of those that lie in
    a file given back behind them."""
    for start in range(0, len(arrays[0]), size):
        yield tuple(array[start : start + size] for array in arrays)
        for array in arrays:
            give_back(array)


def give_back(array: Any) -> None:
    """Give back the memory of an array's pages that were read or written, where it lies in a file,
    which keeps its content."""
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
