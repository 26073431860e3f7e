"""`davae eval`: any two sets of images under one recorded protocol, or under all of them."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from davae import judge, pairs, records
from davae.config import digest
from davae.data.captions import caption_table
from davae.features.clip import image_tower, text_features
from davae.features.extract import extract
from davae.features.images import Images
from davae.judge import Row
from davae.metrics.clip_score import SCALE, clip_score
from davae.request import EvalRequest, ExtractorName, Quantisation
from davae.stages.stage import Pipeline
from davae.tables import to_markdown

EXTRACTORS: tuple[ExtractorName, ...] = get_args(ExtractorName)


def check(request: EvalRequest) -> None:
    """Raise ValueError for options that do not fit together."""
    needs = [m for m in request.metrics if m not in ("is", "clip")]
    if needs and request.reference is None:
        raise ValueError(f"{', '.join(needs)} compare with a reference: name one with --reference")
    if "clip" in request.metrics and request.captions is None:
        raise ValueError("clip needs the captions: name a .csv, .tsv or .jsonl file with --captions")
    if request.captions is not None and "clip" not in request.metrics:
        raise ValueError("--captions is given and clip is not among the metrics; add it: --metrics fd kd clip")


def read_captions(path: Path, images: Images) -> list[str]:
    """The caption of every image, by its path within the folder, or by its number in an array."""
    known = caption_table(path)
    names = images.names()
    absent = [name for name in names if name not in known]
    if absent:
        raise ValueError(f"{path} has no caption for {len(absent)} of {len(names)} images, the first {absent[0]}")
    return [known[name] for name in names]


def clip_rows(request: EvalRequest, images: Images, pipeline: Pipeline) -> list[Row]:
    """The CLIP score and its control; `clip_tiny` is the name where that is the model."""
    assert request.captions is not None
    captions = read_captions(request.captions, images)
    clip = judge.open_clip_model(request.clip_model, pipeline)
    tower = image_tower(clip)
    features = extract(tower, images, pipeline.runtime.device)
    found = clip_score(features, text_features(clip, captions), captions, request.seed)
    name = "clip_tiny" if clip.name == "clip_tiny" else "clip_score"
    about = f"{tower.name} {clip.weights}, {tower.resize}; {images.kind}; {SCALE:g} max(0, cos); "
    about += f"captions {digest(captions, 10)}"
    return [Row(name, found.score, True, about), Row(f"{name}_shuffled", found.shuffled, False, about)]


def score(request: EvalRequest, pipeline: Pipeline) -> list[Row]:
    """Every metric asked for, under the one protocol of the request."""
    check(request)
    images = judge.open_request(request.images, request)
    judge.check_enough(request, images)
    rows: list[Row] = []
    if {*judge.DISTANCES, "is"} & set(request.metrics):
        rows += of_features(request, images, pipeline)
    if set(pairs.PAIR_METRICS) & set(request.metrics):
        rows += pairs.paired(request, pipeline.runtime.device)
    if "clip" in request.metrics:
        rows += clip_rows(request, images, pipeline)
    return rows


def of_features(
    request: EvalRequest, images: Images, pipeline: Pipeline, resize: str = "pil", ddof: int = 1
) -> list[Row]:
    """The distances and the Inception Score under the request's extractor, `resize` and `ddof`."""
    extractor = judge.make_extractor(request, pipeline, resize)
    if "is" in request.metrics and extractor.classify is None:
        raise ValueError(
            f"{extractor.name} gives no class probabilities, which the Inception Score needs; leave out is"
        )
    rows: list[Row] = []
    if set(judge.DISTANCES) & set(request.metrics):
        rows += judge.distances(request, images, extractor, pipeline, ddof)
    if "is" in request.metrics:
        rows.append(judge.score_of_classes(images, extractor, pipeline))
    return rows


def variations(request: EvalRequest, floats: bool) -> list[tuple[str, EvalRequest, str, int]]:
    """(what is changed, request, resize, ddof): the request's own protocol, then one change at a time.

    floats: whether some of the images are float, so that their quantisation matters.
    """
    found = [("as asked", request, "pil", 1)]
    if request.extractor == "effnet_lite0":
        found.append(("resize: torch bilinear, not antialiased", request, "torch", 1))
        if not floats or request.quantisation != "float":
            found.append(("resize: PIL bicubic, rounded to uint8", request, "pil-uint8", 1))
    if floats:
        kinds: tuple[Quantisation, ...] = ("rounded", "truncated", "float")
        changed = [q for q in kinds if q != request.quantisation]
        found += [(f"quantisation: {q}", replace(request, quantisation=q), "pil", 1) for q in changed]
    found.append(("covariance over N, not N - 1", request, "pil", 0))
    half = len(judge.open_request(request.images, request)) // 2
    found.append(("half the samples", replace(request, samples=half), "pil", 1))
    others = [name for name in EXTRACTORS if name != request.extractor]
    return found + [(f"extractor: {name}", replace(request, extractor=name), "pil", 1) for name in others]


def all_protocols(request: EvalRequest, pipeline: Pipeline) -> tuple[list[Row], pd.DataFrame]:
    """fd and kd of the same images under each variation: rows, and a table of the differences.

    A protocol that is not available, as where its weights are missing, has a row that says why.
    """
    if request.reference is None or judge.read_moments(request.reference) is not None:
        raise ValueError("--protocols all compares two sets of images: name images with --reference")
    reference = request.reference
    request = replace(request, metrics=("fd", "kd"))
    kinds = [judge.open_request(path, request).kind for path in (request.images, reference)]
    rows: list[Row] = []
    lines: list[dict[str, Any]] = []
    for change, changed, resize, ddof in variations(request, kinds != ["uint8", "uint8"]):
        line: dict[str, Any] = {"protocol": change}
        lines.append(line)
        try:
            judge.check_trained(changed, pipeline)
            found = of_features(changed, judge.open_request(changed.images, changed), pipeline, resize, ddof)
        except ValueError as error:
            line["note"] = f"not available: {error}"
            continue
        rows += found
        for column, row in zip(("FD", "KD"), found, strict=True):
            line |= {"N": row.estimate.n, column: row.estimate.value}
            line["note"] = "; ".join(n for n in (line.get("note", ""), row.estimate.note) if n)
    table = pd.DataFrame(lines)
    same = ~table["protocol"].str.startswith("extractor")
    for column in ("FD", "KD"):
        table[f"{column} change %"] = (100 * (table[column] / table[column].iloc[0] - 1)).where(same)
    return rows, table[["protocol", "N", "FD", "FD change %", "KD", "KD change %", "note"]].fillna({"note": ""})


def rows_table(rows: list[Row]) -> pd.DataFrame:
    """Metric, value, interval, N, note and protocol."""
    return pd.DataFrame(
        [
            {
                "metric": r.metric, "value": r.estimate.value, "95% low": r.estimate.low, "95% high": r.estimate.high,
                "N": r.estimate.n, "note": r.estimate.note, "protocol": r.protocol,
            }
            for r in rows
        ]
    ).astype({"95% low": float, "95% high": float})  # fmt: skip


def columns(row: Row) -> dict[str, Any]:
    """The quality columns of a record."""
    e = row.estimate
    about = {"n_samples": e.n, "higher_is_better": row.higher_is_better, "protocol": row.protocol, "note": e.note}
    return {"metric": row.metric, "value": e.value, "low": e.low, "high": e.high, **about}


def run_eval(request: EvalRequest, pipeline: Pipeline, out: Path) -> tuple[str, Path]:
    """Score, record below `out` in a folder of its own, and return the tables' Markdown and the folder."""
    rows = score(request, pipeline)
    text = to_markdown(rows_table(rows))
    if request.protocols == "all":
        more, table = all_protocols(request, pipeline)
        known = {(r.metric, r.protocol) for r in rows}
        rows += [r for r in more if (r.metric, r.protocol) not in known]
        text += "\nThe same images under each protocol; figures of different protocols cannot be compared:\n\n"
        text += to_markdown(table)
    run_id = records.new_run_id()
    folder = out / f"{request.images.stem}-{run_id}"
    described = {k: str(v) if isinstance(v, Path) else v for k, v in vars(request).items()}
    sha = judge.open_images(request.images, request.quantisation).digest
    key = digest([sha, [r.protocol for r in rows]])
    same: dict[str, Any] = {"run_id": run_id, "suite": "eval", "arm": request.images.name, "key": key, "preset": ""}
    same["images"] = sha
    made = [records.row(**same, seed=request.seed, **columns(row)) for row in rows]
    records.append(folder / "records.jsonl", made)
    (folder / "table.md").write_text(text)
    details = {r.protocol: asdict(r.details) for r in rows if r.details is not None}
    (folder / "protocols.json").write_text(json.dumps(details, indent=1) + "\n")
    (folder / "options.json").write_text(json.dumps(described, indent=1) + "\n")
    return text, folder
