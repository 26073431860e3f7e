"""Files that are no paths: within uncompressed tar archives, read in place, or held in memory."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO


class Window(io.RawIOBase):
    """A stretch of a file, as a file of its own."""

    def __init__(self, path: Path, start: int, size: int):
        self.file, self.start, self.size, self.at = path.open("rb"), start, size, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of any file."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self.at, os.SEEK_END: self.size}[whence]
        self.at = max(0, origin + offset)
        return self.at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """As of any file."""
        wanted = max(0, min(len(buffer), self.size - self.at))
        self.file.seek(self.start + self.at)
        found = self.file.readinto(memoryview(buffer)[:wanted])
        self.at += found
        return found

    def close(self) -> None:
        """Close the archive."""
        self.file.close()
        super().close()


@dataclass(frozen=True)
class Member:
    """A file of an archive; it is opened as a path is."""

    archive: Path
    name: str
    start: int
    size: int

    def open(self, mode: str = "rb") -> BinaryIO:
        """Its bytes, to be read."""
        return io.BufferedReader(Window(self.archive, self.start, self.size))

    def read_bytes(self) -> bytes:
        """All of them."""
        with self.open() as stream:
            return stream.read()

    def __str__(self) -> str:
        return f"{self.archive}: {self.name}"


@dataclass(frozen=True)
class Held:
    """A file whose bytes were read already."""

    name: str
    content: bytes

    def open(self, mode: str = "rb") -> BinaryIO:
        """Its bytes, to be read."""
        return io.BytesIO(self.content)

    def __str__(self) -> str:
        return self.name


def members(archive: Path) -> Iterator[Member]:
    """The files of a tar, in its order; raises ValueError for what is none, a compressed one or
    one that is cut off."""
    end = archive.stat().st_size
    try:
        with tarfile.open(archive, "r:") as tar:
            for info in tar:
                if not info.isfile():
                    continue
                if info.offset_data + info.size > end:
                    raise tarfile.ReadError(f"it ends within {info.name}")
                yield Member(archive, info.name, info.offset_data, info.size)
            last = tar.offset
        with archive.open("rb") as stream:
            stream.seek(last)
            if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError("its end is missing: it was cut off")
    except tarfile.TarError as error:
        raise ValueError(f"{archive} cannot be read as a tar ({error}); repair it, or unpack it "
                         "if it is compressed") from error  # fmt: skip
