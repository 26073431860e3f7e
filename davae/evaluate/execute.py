"""`davae eval`: score a request, record it, and say it in a table."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from davae.analysis.tables import to_markdown
from davae.core import records
from davae.core.hashing import digest
from davae.core.records import Measurement
from davae.data.image_sets import open_images
from davae.evaluate.protocols import all_protocols
from davae.evaluate.request import EvalRequest
from davae.evaluate.score import score
from davae.stages.stage import Pipeline


def measurement_table(measured: list[Measurement]) -> pd.DataFrame:
    """Metric, value, interval, N, note and protocol, one row a measurement."""
    columns = {
        "metric": "metric",
        "value": "value",
        "low": "95% low",
        "high": "95% high",
        "n": "N",
        "note": "note",
        "protocol": "protocol",
    }
    table = pd.DataFrame([asdict(m) for m in measured])[list(columns)].rename(columns=columns)
    return table.astype({"95% low": float, "95% high": float})


def run_eval(request: EvalRequest, pipeline: Pipeline, out: Path) -> tuple[str, Path]:
    """Score, record below `out` in a folder of its own, and return the tables' Markdown and the
    folder."""
    scores = score(request, pipeline)
    text = to_markdown(measurement_table(scores.measured))
    if request.protocols == "all":
        further, table = all_protocols(request, pipeline)
        there = {(m.metric, m.protocol) for m in scores.measured}
        scores.measured += [m for m in further.measured if (m.metric, m.protocol) not in there]
        scores.protocols |= further.protocols
        text += (
            "\nThe same images under each protocol; figures of different protocols cannot "
            "be compared:\n\n"
        )
        text += to_markdown(table)
    run_id = records.new_run_id()
    folder = out / f"{request.images.stem}-{run_id}"
    options = {k: str(v) if isinstance(v, Path) else v for k, v in vars(request).items()}
    sha = open_images(request.images, request.quantisation).digest
    key = digest([sha, [m.protocol for m in scores.measured]])
    identity: dict[str, Any] = {
        "run_id": run_id,
        "suite": "eval",
        "arm": request.images.name,
        "key": key,
        "preset": "",
    }
    rows = [
        records.row(**identity, seed=request.seed, images=sha, **m.columns())
        for m in scores.measured
    ]
    records.append(folder / "records.jsonl", rows)
    (folder / "table.md").write_text(text)
    protocols = {label: asdict(protocol) for label, protocol in scores.protocols.items()}
    (folder / "protocols.json").write_text(json.dumps(protocols, indent=1) + "\n")
    (folder / "options.json").write_text(json.dumps(options, indent=1) + "\n")
    return text, folder
