"""SHA-256 of files, each read once: kept in a cache of the user's beside its size and times."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

TABLE = "CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, stat TEXT, digest BLOB)"
AT_ONCE = 500
"""Names in a query."""
SETTLED_S = 2.0
"""A file that changed less than this ago may change again at the same time stamp: not kept."""


def cache_file() -> Path:
    """Where digests are kept: below XDG_CACHE_HOME, or ~/.cache."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "davae" / "digests.sqlite"


def file_digest(path: Path) -> bytes:
    """The SHA-256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def file_digests(paths: Sequence[Path]) -> list[bytes]:
    """The SHA-256 of each file, in order. A file whose size and times are as they were when it was
    read before is not read again; where nothing can be kept, all are read."""
    names = [str(path.absolute()) for path in paths]
    stats = {name: stat_text(path) for name, path in zip(names, paths, strict=True)}
    known = {name: found for name, stat, found in kept(names) if stats[name] == stat}
    missing = [Path(name) for name in dict.fromkeys(names) if name not in known]
    with ThreadPoolExecutor() as pool:
        read = tqdm(
            pool.map(file_digest, missing), total=len(missing), desc="reading files for their keys",
            unit="file", delay=2, leave=False,
        )  # fmt: skip
        fresh = {str(path): found for path, found in zip(missing, read, strict=True)}
    keep((name, stats[name], found) for name, found in fresh.items() if settled(Path(name)))
    return [known.get(name) or fresh[name] for name in names]


def stat_text(path: Path) -> str:
    """What changes with a file's content."""
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"


def settled(path: Path) -> bool:
    """Whether a later change would have another time stamp."""
    return time.time() - path.stat().st_ctime > SETTLED_S


def kept(names: Sequence[str]) -> Iterator[tuple[str, str, bytes]]:
    """(name, what its stat was, digest) of the files that are kept."""
    if not cache_file().exists():
        return
    try:
        with closing(sqlite3.connect(cache_file(), timeout=60)) as database:
            for start in range(0, len(names), AT_ONCE):
                part = names[start : start + AT_ONCE]
                marks = ", ".join("?" * len(part))
                yield from database.execute(f"SELECT * FROM files WHERE path IN ({marks})", part)
    except sqlite3.Error as error:
        print(f"{cache_file()} cannot be read, so that files are: {error}", flush=True)


def keep(rows: Iterator[tuple[str, str, bytes]]) -> None:
    """Add rows, or replace those of the same file; nothing where the cache cannot be written."""
    found = list(rows)
    if not found:
        return
    try:
        cache_file().parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(cache_file(), timeout=60)) as database, database:
            database.execute(TABLE)
            database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", found)
    except (OSError, sqlite3.Error) as error:
        print(f"digests are not kept, so that files are read every time: {error}", flush=True)
