"""Hashes: of configs (the keys of stages and records), of files, and of arrays."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from davae.core.digests import file_digest, file_digests

SHORT = 12
"""Hexadecimal digits of the hashes of weights, images and sidecars."""


def option(default: Any, *, neutral: Any) -> Any:
    """A field added after records exist: at its `neutral` value it leaves every key unchanged.

    `neutral` is the value that reproduces the behaviour of the code before the field existed; it
    need not be the default.
    """
    return dataclasses.field(default=default, metadata={"neutral": neutral})


def hashable(config: Any) -> Any:
    """The JSON value of a config that enters a key: fields at their neutral value left out."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        kept = {}
        for f in dataclasses.fields(config):
            value = getattr(config, f.name)
            if "neutral" in f.metadata and value == f.metadata["neutral"]:
                continue
            kept[f.name] = hashable(value)
        return kept
    if isinstance(config, (tuple, list)):
        return [hashable(item) for item in config]
    if isinstance(config, dict):
        return {str(name): hashable(item) for name, item in config.items()}
    if config is None or isinstance(config, (str, int, float, bool)):
        return config
    raise ValueError(
        f"a config holds JSON primitives only, not {type(config).__name__}: {config!r}"
    )


def sha256(parts: Iterable[bytes | Path], length: int = SHORT) -> str:
    """The first `length` hexadecimal digits of the SHA-256 of bytes and files' contents, joined.

    A file's content counts as its own digest, so that it is read in pieces.
    """
    total = hashlib.sha256()
    for part in parts:
        total.update(part if isinstance(part, bytes) else file_digest(part))
    return total.hexdigest()[:length]


@lru_cache
def file_hash(path: Path) -> str:
    """First 12 digits of the SHA-256 of a file, as sha256sum prints it."""
    return file_digest(path).hex()[:SHORT]


def digest(value: Any, length: int = 16) -> str:
    """The first `length` hexadecimal digits of the SHA-256 of a config's canonical JSON."""
    text = json.dumps(hashable(value), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return sha256([text.encode()], length)


def content_digest(path: str) -> str:
    """A digest of a file's or folder's names and bytes; empty for a name that is no path. Files
    that have not changed since they were read before are not read again."""
    top = Path(path)
    if not path or not top.exists():
        return ""
    files = sorted([top] if top.is_file() else [p for p in top.rglob("*") if p.is_file()])
    pairs = zip(files, file_digests(files), strict=True)
    return sha256((str(file.relative_to(top)).encode() + found for file, found in pairs), 16)
