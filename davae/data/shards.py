"""Arrays of many rows in safetensors files of some rows each, with checksums (`sha256sum -c
SHA256SUMS`): what is complete of an interrupted writing is kept, and rows are read from the files
as they are asked for."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tqdm import tqdm

from davae.core.digests import file_digest
from davae.core.ranks import ranks
from davae.core.store import write_json

INDEX, SUMS = "index.json", "SHA256SUMS"
ROWS = 512
"""Rows a shard: 16 MB of ImageNet's latents, 400 MB of SD3.5's at 1024 px."""
NAME = "rows"
"""Of the tensor in a shard."""


def write_shards(
    folder: Path, total: int, size: int, make: Callable[[range], torch.Tensor], said: str,
    ready: torch.Tensor | None = None,
) -> None:  # fmt: skip
    """`total` rows into `folder`, of which `make` gives `size` at once; each rank makes its own
    shards, and shards that are there and whole are kept.

    said: what the progress bar says; ready: the first rows, where they are there already. Raises
    ValueError for no rows."""
    if not total:
        raise ValueError(f"{folder.name} would have no rows")
    here, known = ranks(), torch.empty(0) if ready is None else ready
    if here.told(here.main and finished(folder, total)):
        return
    if here.main:
        folder.mkdir(exist_ok=True)
    here.wait()
    parts = here.parts(total, ROWS)
    with tqdm(total=sum(map(len, parts)), desc=said, unit="row", delay=2) as progress:
        for part in parts:
            path = shard_path(folder, part.start // ROWS)
            if not whole(path):
                pieces = []
                for piece in pieces_of(part, size, len(known)):
                    pieces.append(known[piece] if piece.stop <= len(known) else make(piece))
                    progress.update(len(piece))
                save_shard(path, torch.cat(pieces))
            else:
                progress.update(len(part))
    here.wait()
    if here.main:
        write_index(folder, -(-total // ROWS))
    here.wait()


def finished(folder: Path, total: int) -> bool:
    """Whether all rows were written before, as the index says, which is written last."""
    return (folder / INDEX).exists() and len(Shards(folder)) == total


def shard_path(folder: Path, number: int) -> Path:
    """Where a shard lies."""
    return folder / f"{number:06}.safetensors"


def pieces_of(part: range, size: int, known: int) -> Iterator[range]:
    """A shard's rows in pieces of `size`, those that are known already apart."""
    ready = min(max(part.start, known), part.stop)
    if ready > part.start:
        yield range(part.start, ready)
    for start in range(ready, part.stop, size):
        yield range(start, min(start + size, part.stop))


def save_shard(path: Path, rows: torch.Tensor) -> None:
    """Write a shard and its checksum, then give it its name: what has it is complete."""
    temporary = path.with_suffix(".tmp")
    save_file({NAME: rows.contiguous().cpu()}, temporary)
    sum_path(path).write_text(f"{file_digest(temporary).hex()}  {path.name}\n")
    os.replace(temporary, path)


def sum_path(path: Path) -> Path:
    """Where the checksum of a shard lies until all shards are there."""
    return path.with_suffix(".sha256")


def whole(path: Path) -> bool:
    """Whether a shard of an interrupted writing is there and agrees with its checksum."""
    if not path.exists() or not sum_path(path).exists():
        return False
    return sum_path(path).read_text().split()[0] == file_digest(path).hex()


def write_index(folder: Path, count: int) -> None:
    """The index and the checksums of `count` shards, which are there."""
    shards, paths = [], [shard_path(folder, number) for number in range(count)]
    for path in paths:
        with safe_open(path, "pt") as file:
            shape = file.get_slice(NAME).get_shape()
            dtype = file.get_slice(NAME)[:0].dtype
        start = path.stat().st_size - math.prod(shape) * dtype.itemsize
        shards.append({"file": path.name, "rows": shape[0], "start": start})
    index = {"row": shape[1:], "dtype": str(dtype).removeprefix("torch."), "shards": shards}
    (folder / SUMS).write_text("".join(sum_path(path).read_text() for path in paths))
    write_json(folder / INDEX, index)
    for left in (*folder.glob("*.tmp"), *folder.glob("*.sha256")):
        left.unlink()


@dataclass(frozen=True)
class Shards:
    """The rows in a folder of shards, indexed as a tensor is: by a slice, or by row numbers.

    Rows are read anew each time, so that a set of any size costs no memory."""

    folder: Path
    count: int | None = None
    """How many of the rows, the first ones; None: all."""

    @cached_property
    def index(self) -> dict[str, Any]:
        """What the index says; raises ValueError where there is none."""
        path = self.folder / INDEX
        if not path.is_file():
            raise ValueError(
                f"{self.folder} is not there: an earlier version kept arrays in one file; remove "
                f"{self.folder.parent}, which is then made anew"
            )
        return json.loads(path.read_text())

    @cached_property
    def ends(self) -> np.ndarray:
        """The number after the last row of each shard."""
        return np.array(list(accumulate(shard["rows"] for shard in self.index["shards"])))

    @cached_property
    def dtype(self) -> torch.dtype:
        """Of the rows."""
        return getattr(torch, self.index["dtype"])

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, *shape of a row)."""
        return len(self), *self.index["row"]

    def __len__(self) -> int:
        rows = int(self.ends[-1])
        return rows if self.count is None else min(rows, self.count)

    def first(self, count: int) -> Shards:
        """The first `count` rows, or all where there are fewer."""
        return Shards(self.folder, min(count, len(self)))

    def __getitem__(self, index: Any) -> torch.Tensor:
        """The rows of a slice or of row numbers, in their order; raises IndexError beyond the
        end."""
        if isinstance(index, slice):
            rows = np.arange(*index.indices(len(self)))
        else:
            asked = np.asarray(index)
            if asked.ndim != 1 or (asked.size and asked.dtype.kind not in "iu"):
                raise TypeError(f"rows are indexed by a slice or by their numbers, not {index!r}")
            rows = np.where(asked < 0, asked + len(self), asked).astype(np.int64)
            beyond = asked[(rows < 0) | (rows >= len(self))]
            if len(beyond):
                raise IndexError(f"{self.folder.name} has {len(self)} rows; asked for {beyond[0]}")
        found = torch.empty(len(rows), *self.shape[1:], dtype=self.dtype)
        data = found.view(len(rows), -1).view(torch.uint8).numpy() if len(rows) else None
        of_shard = np.searchsorted(self.ends, rows, side="right")
        for number in np.unique(of_shard):
            wanted = np.flatnonzero(of_shard == number)
            self._read(int(number), rows[wanted], data, wanted)
        return found

    def _read(self, number: int, rows: np.ndarray, data: Any, places: np.ndarray) -> None:
        """Rows of one shard into places of `data`, consecutive ones at once."""
        shard = self.index["shards"][number]
        before, width = int(self.ends[number]) - shard["rows"], data.shape[1]
        breaks = np.flatnonzero((np.diff(rows) != 1) | (np.diff(places) != 1)) + 1
        with (self.folder / shard["file"]).open("rb") as file:
            for run in np.split(np.arange(len(rows)), breaks):
                file.seek(shard["start"] + (int(rows[run[0]]) - before) * width)
                part = data[places[run[0]] : places[run[-1]] + 1]
                if file.readinto(part.data) != part.nbytes:
                    raise ValueError(f"{file.name} is cut off; remove {self.folder.parent}")

    def check(self) -> None:
        """Raise ValueError that names the shards whose files are not as they were written."""
        sums = dict(line.split()[::-1] for line in (self.folder / SUMS).read_text().splitlines())
        files = [shard["file"] for shard in self.index["shards"]]
        paths = {file: self.folder / file for file in files}
        damaged = [
            file for file, path in paths.items()
            if not path.exists() or file_digest(path).hex() != sums.get(file)
        ]  # fmt: skip
        if damaged:
            raise ValueError(
                f"{self.folder}: {len(damaged)} of {len(files)} shards are damaged, the first "
                f"{damaged[0]}; remove {self.folder.parent}, which is then made anew"
            )
