"""Records: JSON Lines, one row a measurement, appended under a file lock, never rewritten.

A `Measurement` is the one shape of a number: metrics return it, stages write it, records hold its
columns, tables read them. A `Protocol` is what changes its value without changing the model.
"""

from __future__ import annotations

import errno
import json
import math
import os
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from davae.core.environment import revision
from davae.core.hashing import digest
from davae.core.store import MEASUREMENTS, read_json, write_json

if TYPE_CHECKING:
    import pandas as pd

BENCHMARKS = "benchmarks"
"""The suite of rows that pytest-benchmark's files hold."""
SCHEMA = 2
"""1: ablations had the suite `ablation/NAME`, and rows of runs no interval."""
VOLATILE = (
    "run_id", "time_utc", "git_sha", "git_dirty", "seconds", "error", "median_s", "rounds", "raw_s",
)  # fmt: skip
"""Columns that may differ between two runs of the same thing."""
TIMED_METRICS = (
    "seconds",
    "training_seconds",
    "flops_per_second",
    "matmul_flops_per_second",
    "share_of_matmul_rate",
    "sampling_img_per_s",
)
"""Metrics that are durations or rates."""
IDENTITY = ("suite", "ablation", "arm", "preset", "base_seed", "seed", "metric")
"""What two rows of one measured thing have in common."""


@dataclass(frozen=True)
class Measurement:
    """One measured number, with the 95% interval that the drawing of its samples leaves."""

    metric: str
    value: float
    n: int
    """Samples."""
    low: float | None = None
    high: float | None = None
    """None where no interval is estimated. Intervals over seeds are computed from rows, never
    stored."""
    higher_is_better: bool | None = None
    """None for what is neither good nor bad, as a count."""
    protocol: str = ""
    note: str = ""
    """What makes the value less than it seems: too few samples, a singular covariance; else empty.
    """

    def columns(self) -> dict[str, Any]:
        """Its columns in a record."""
        values = asdict(self)
        return {"n_samples": values.pop("n"), **values}

    @staticmethod
    def of_columns(row: dict[str, Any]) -> Measurement:
        """The inverse of `columns`; rows of schema 1 have no interval and no note."""
        optional = {name: row[name] for name in ("low", "high", "note") if name in row}
        required = {name: row[name] for name in ("metric", "value", "higher_is_better", "protocol")}
        return Measurement(n=row["n_samples"], **required, **optional)


@dataclass(frozen=True)
class Protocol:
    """The protocol of a distance between features."""

    extractor: str
    weights: str
    """SHA-256 of the extractor's weights, first 12 digits."""
    dimensions: int
    resize: str
    quantisation: str
    ddof: int
    reference: str
    """The reference set: its name and the hash of its images."""
    samples: int

    def label(self) -> str:
        """`name/hash`, the `protocol` column of a record."""
        return f"{self.extractor}-{self.dimensions}d-n{self.samples}/{digest(asdict(self), 10)}"


def check_same(labels: Iterable[str]) -> None:
    """Raise ValueError if figures of different protocols are about to be compared."""
    different = sorted(set(labels))
    if len(different) > 1:
        raise ValueError(
            f"figures of different protocols cannot be compared: {', '.join(different)}"
        )


def write_measurements(folder: Path, measured: dict[str, list[Measurement]]) -> None:
    """Write a stage's measurements, by the table's row that they belong to."""
    rows = [
        {"arm": arm, **m.columns()} for arm, measurements in measured.items() for m in measurements
    ]
    write_json(folder / MEASUREMENTS, rows)


def read_measurements(folder: Path) -> list[tuple[str, Measurement]]:
    """(row, measurement) of a measuring stage; raises ValueError where its file is damaged."""
    rows = read_json(folder / MEASUREMENTS)
    return [(row["arm"], Measurement.of_columns(row)) for row in rows]


def new_run_id() -> str:
    """A random identifier shared by the rows of one run."""
    return uuid.uuid4().hex[:12]


def row(
    *,
    run_id: str,
    suite: str,
    arm: str,
    key: str,
    preset: str,
    seed: int,
    recipe: str = "",
    **values: Any,
) -> dict[str, Any]:
    """A record with the identity columns filled in; `values` are the measured ones.

    recipe: the key without its seeds, so that rows of several seeds can be known to be of one
    experiment.

    A non-finite number is an error of the measurement and raises ValueError.
    """
    for name, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(
                f"{suite}/{arm}: {name} is {value}; a record holds finite numbers only"
            )
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    head = {"schema": SCHEMA, "run_id": run_id, "time_utc": now, **revision()}
    identity = {"suite": suite, "arm": arm, "key": key, "preset": preset, "seed": seed,
                "recipe": recipe}  # fmt: skip
    return {**head, **identity, "status": "ok", "error": "", **values}


def append(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Append rows under a lock, whole: concurrent arms never interleave, half a line that a killed
    process left is taken off first, and a write that fails leaves the file as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(r, sort_keys=True, allow_nan=False) + "\n" for r in rows)
    with FileLock(str(path) + ".lock"):
        before = whole_size(path)
        try:
            with path.open("ab", buffering=0) as stream:
                stream.truncate(before)
                stream.write(text.encode())
        except OSError:
            os.truncate(path, before)
            raise
        if path.stat().st_size != before + len(text.encode()):
            os.truncate(path, before)
            raise OSError(errno.ENOSPC, f"{path} could not be written whole")


def whole_size(path: Path) -> int:
    """Bytes up to the end of the last whole line, which gets its newline where that alone is
    missing; 0 where there is no file."""
    if not path.exists():
        return 0
    content = path.read_bytes()
    size = content.rfind(b"\n") + 1
    try:
        json.loads(content[size:])
    except ValueError:
        return size
    with path.open("ab") as stream:
        stream.write(b"\n")
    return len(content) + 1


def is_benchmark(path: Path) -> bool:
    """Whether a JSON file was written by pytest-benchmark."""
    content = json.loads(path.read_text())
    return isinstance(content, dict) and {"benchmarks", "machine_info"} <= set(content)


def _benchmark_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a pytest-benchmark file: one a case, with the median of its raw timings."""
    report = json.loads(path.read_text())
    shared = {"suite": BENCHMARKS, "time_utc": report["datetime"], "schema": SCHEMA}
    shared |= report["commit_info"]
    for case in report.get("failed", []):
        yield {**shared, **named(case["name"]), **case["extra_info"]}
    for case in report["benchmarks"]:
        identity = {**shared, **named(case["name"]), "status": "ok", "error": ""}
        timing = {"median_s": case["stats"]["median"], "rounds": case["stats"]["rounds"]}
        yield {**identity, **case["extra_info"], **timing, "raw_s": case["stats"]["data"]}


def named(test: str) -> dict[str, str]:
    """A benchmark's test under `arm`, and the scenario in its brackets, if any, under `case`."""
    return {"arm": test, "case": test.partition("[")[2].removesuffix("]") or test}


def _upgraded(record: dict[str, Any]) -> dict[str, Any]:
    """A row of any schema in the present one: the suite without a prefix, the ablation's name in a
    column of its own."""
    suite, _, name = record["suite"].partition("/")
    record = {"base_seed": 0, **record, "suite": suite}
    return {**record, "ablation": name} if suite == "ablation" and name else record


def _record_rows(path: Path, named: bool) -> Iterator[dict[str, Any]]:
    """Rows of a .jsonl file; none where its lines have no schema, as those of a training log,
    unless the file itself is named."""
    text = path.read_text()
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            torn = number == len(lines) and not text.endswith("\n") and line.startswith("{")
            if torn:
                return  # half a line: it is being written, or its process was killed
            raise ValueError(f"{path}, line {number} is not a record: {error}") from error
        if not isinstance(record, dict) or "schema" not in record:
            if number == 1 and not named:
                return
            raise ValueError(f"{path}, line {number} is not a record: it has no schema")
        if record["schema"] > SCHEMA:
            raise ValueError(
                f"{path}, line {number} has schema {record['schema']}; this code reads {SCHEMA}"
            )
        yield _upgraded(record)


def load_records(*paths: Path | str) -> pd.DataFrame:
    """One DataFrame of all records and pytest-benchmark files at or below the paths.

    Other .json and .jsonl files of a folder, as configs and training logs, are passed over. Raises
    ValueError for a path that is not there, a named file that holds no records, a schema newer than
    this code, or a line that is not a record."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for top in map(Path, paths):
        if not top.exists():
            raise ValueError(
                f"{top} is not there; name a file of records or a folder that holds some"
            )
        for path in (
            [top] if top.is_file() else sorted([*top.rglob("*.jsonl"), *top.rglob("*.json")])
        ):
            if path.suffix == ".jsonl":
                rows.extend(_record_rows(path, named=path == top))
            elif is_benchmark(path):
                rows.extend(_benchmark_rows(path))
            elif path == top:
                raise ValueError(f"{path} is no file of records and none of pytest-benchmark")
    return pd.DataFrame(rows)


def stable(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that a repeated run must reproduce, in a canonical order of rows and columns."""
    kept = frame.drop(columns=[c for c in VOLATILE if c in frame.columns])
    if "metric" in kept.columns:
        kept = kept[~kept["metric"].isin(TIMED_METRICS)]
    columns = sorted(kept.columns)
    order = [c for c in (*IDENTITY, "protocol", "key") if c in columns]
    return kept[columns].drop_duplicates().sort_values(order).reset_index(drop=True)


def latest(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the last key of each identity, in file order; of that key, the last row a
    protocol.

    A stage whose version was raised has another key: what it measured before is left out. So are
    other seeds of a recipe that is not the last one, which an interval must not mix.
    """
    identity = [c for c in IDENTITY if c in frame.columns]
    last = frame.drop_duplicates(identity, keep="last")[[*identity, "key"]]
    kept = frame.reset_index().merge(last, on=[*identity, "key"]).set_index("index").sort_index()
    kept = kept.drop_duplicates([*identity, "protocol"], keep="last").rename_axis(None)
    if "recipe" not in kept:
        return kept
    over_seeds = [c for c in identity if c not in ("seed", "base_seed")]
    recipes = kept.groupby(over_seeds, dropna=False)["recipe"].transform("last")
    return kept[kept["recipe"].isna() & recipes.isna() | (kept["recipe"] == recipes)]
