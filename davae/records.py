"""Records: JSON Lines, one row a measured value, appended under a file lock, never rewritten."""

from __future__ import annotations

import json
import math
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from davae.environment import revision

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
VOLATILE = ("run_id", "time_utc", "git_sha", "git_dirty", "seconds", "error")
"""Columns that may differ between two runs of the same thing."""
TIMED_METRICS = ("seconds", "flops_per_second", "matmul_flops_per_second", "share_of_matmul_rate")
"""Metrics that are durations or rates."""


def new_run_id() -> str:
    """A random identifier shared by the rows of one run."""
    return uuid.uuid4().hex[:12]


def row(*, run_id: str, suite: str, arm: str, key: str, preset: str, seed: int, **values: Any) -> dict[str, Any]:
    """A record with the identity columns filled in; `values` are the measured ones.

    A non-finite number is an error of the measurement and raises ValueError.
    """
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{suite}/{arm}: {name} is {value}; a record holds finite numbers only")
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    head = {"schema": SCHEMA, "run_id": run_id, "time_utc": now, **revision()}
    what = {"suite": suite, "arm": arm, "key": key, "preset": preset, "seed": seed}
    return {**head, **what, "status": "ok", "error": "", **values}


def append(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Append rows in one write under a lock, so that concurrent arms never interleave."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(r, sort_keys=True, allow_nan=False) + "\n" for r in rows)
    with FileLock(str(path) + ".lock"), path.open("a") as stream:
        stream.write(text)


def is_benchmark(path: Path) -> bool:
    """Whether a JSON file was written by pytest-benchmark."""
    content = json.loads(path.read_text())
    return isinstance(content, dict) and {"benchmarks", "machine_info"} <= set(content)


def _benchmark_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a pytest-benchmark file: one a case, with the median of its raw timings."""
    report = json.loads(path.read_text())
    rows = []
    for case in report["benchmarks"]:
        known = {"suite": "benchmarks", "arm": case["name"], "status": "ok", "time_utc": report["datetime"]}
        known |= {"schema": SCHEMA, **report["commit_info"]}
        timing = {"median_s": case["stats"]["median"], "rounds": case["stats"]["rounds"]}
        rows.append({**known, **case["extra_info"], **timing, "raw_s": case["stats"]["data"]})
    return rows


def load(*paths: Path) -> pd.DataFrame:
    """One DataFrame of all `*.jsonl` records and pytest-benchmark files at or below the paths.

    Raises ValueError for a schema newer than this code, or for a line that is not JSON.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for top in paths:
        files = [top] if top.is_file() else sorted([*top.rglob("*.jsonl"), *top.rglob("*.json")])
        for path in files:
            if path.suffix == ".json":
                if not is_benchmark(path):
                    continue
                rows.extend(_benchmark_rows(path))
                continue
            for number, line in enumerate(path.read_text().splitlines(), 1):
                try:
                    record = json.loads(line)
                except json.JSONDecodeError as error:
                    raise ValueError(f"{path}, line {number} is not a record: {error}") from error
                if record["schema"] > SCHEMA:
                    raise ValueError(f"{path}, line {number} has schema {record['schema']}; this code reads {SCHEMA}")
                rows.append(record)
    return pd.DataFrame(rows)


def stable(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that a repeated run must reproduce, in a canonical order of rows and columns."""
    kept = frame.drop(columns=[c for c in VOLATILE if c in frame.columns])
    if "metric" in kept.columns:
        kept = kept[~kept["metric"].isin(TIMED_METRICS)]
    columns = sorted(kept.columns)
    order = [c for c in ("suite", "arm", "preset", "seed", "metric", "key") if c in columns]
    return kept[columns].drop_duplicates().sort_values(order).reset_index(drop=True)


def latest(frame: pd.DataFrame, by: tuple[str, ...] = ("suite", "arm", "preset", "seed", "metric")) -> pd.DataFrame:
    """The last record of each identity, in file order."""
    return frame.drop_duplicates(subset=[c for c in by if c in frame.columns], keep="last")
