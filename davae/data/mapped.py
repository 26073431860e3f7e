"""Sets of images that lie in a file: read in blocks, at the memory of one block."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap

BLOCK = 64


def blocks(*arrays: Any, size: int = BLOCK) -> Iterator[tuple[Any, ...]]:
    """Consecutive rows of arrays of one length, `size` at a time, the memory of those that lie in
    a file given back behind them."""
    for start in range(0, len(arrays[0]), size):
        yield tuple(array[start : start + size] for array in arrays)
        for array in arrays:
            give_back(array)


def new_array(path: Path, dtype: Any, shape: tuple[int, ...]) -> np.memmap:
    """An array in a .npy file, to be filled. Raises OSError where the disk has too little room:
    found when a page is written, that would kill the process."""
    array = open_memmap(path, "w+", dtype, shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def give_back(array: Any) -> None:
    """Give back the memory of an array's pages that were read or written, where it lies in a file,
    which keeps its content."""
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
