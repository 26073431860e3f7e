"""The tables of whole runs."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd
from markupsafe import Markup

from davae.analysis.findings import findings_table, findings_view, judge_all
from davae.analysis.run_claims import RUN_CLAIMS
from davae.analysis.stats import t_interval
from davae.analysis.tables import (
    RUN_COLUMNS,
    RUN_ROWS,
    column_titles,
    doubtful,
    extractor_of,
    plus_minus,
    stage_table,
)
from davae.core import records
from davae.core.presets import PRESETS
from reports.html import folded, paragraph, picture, table
from reports.results import Kept, Results
from reports.section import Section

PICTURES = {"samples.png": "samples of every row", "curves.png": "training curves"}
SUMMARY = (
    "psnr_db", "rkd_effnet", "gkd_effnet", "detail_accuracy", "content_accuracy", "latent_fd_base",
    "latent_fd_detail",
)  # fmt: skip
"""Columns of a run's short table."""


WHAT = (
    "Rows without samples measure autoencoders on held-out images, the others samples. bicubic "
    "enlarges the real base image and goes through no autoencoder. Distances are better low, "
    "shares and PSNR high; real crops show what can be reached."
)


def summary(frame: pd.DataFrame, metrics: Collection[str] = SUMMARY) -> pd.DataFrame:
    """The rows of a run with some columns: the mean over seeds, and the 95% half width of those
    that have several values; a row that rests on one model for all seeds has none."""
    titles = {metric: RUN_COLUMNS[metric] for metric in RUN_COLUMNS if metric in metrics}
    quality = frame[frame["metric"].isin(metrics)]
    columns, extractors = column_titles(quality, titles), extractor_of(quality["protocol"])
    rows = []
    for arm in [arm for arm in RUN_ROWS if (quality["arm"] == arm).any()]:
        row: dict[str, object] = {"row": RUN_ROWS[arm]}
        for (metric, extractor), title in columns.items():
            of_column = (quality["metric"] == metric) & (extractors == extractor)
            values = quality.loc[(quality["arm"] == arm) & of_column, "value"]
            row[title] = spread(values)
        rows.append(row)
    table = pd.DataFrame(rows)
    empty = [name for name in table if (table[name] == "–").all()]
    return table.drop(columns=empty)


def spread(values: pd.Series) -> str:
    """The mean, and the 95% half width of several different values."""
    if values.empty:
        return "–"
    interval = t_interval(values.to_numpy())
    return plus_minus(float(interval.mean), interval.high - interval.mean)


def latest_of(runs: list[Kept]) -> pd.DataFrame:
    """The last rows of several runs."""
    return records.latest(pd.concat([kept.frame for kept in runs], ignore_index=True))


def claims(runs: list[Kept]) -> pd.DataFrame:
    """The findings on what is claimed of runs, over the seeds of the base model that has most of
    them; empty where no claim can be judged."""
    frame = latest_of(runs)
    frame = frame[frame["base_seed"] == frame.groupby("base_seed")["seed"].nunique().idxmax()]
    there = [claim for claim in RUN_CLAIMS if (frame["metric"] == claim.metric).any()]
    data = PRESETS[runs[0].preset].data.name if runs[0].preset in PRESETS else ""
    found = findings_table(judge_all(there, frame).findings, data)
    return findings_view(found)


def of_group(results: Results, name: str, runs: list[Kept]) -> list[Markup]:
    """The tables of one preset's runs by base seed, and the pictures of the first."""
    frame = latest_of(runs)
    parts = [Markup("<h3>{}</h3>").format(name)]
    shown: set[str] = set()
    for base_seed, whole in frame.groupby("base_seed"):
        seeds = ", ".join(str(seed) for seed in sorted(whole["seed"].unique()))
        about = f"{name}, base seed {base_seed}, seeds {seeds}"
        part = whole[~whole["key"].isin(shown)]
        intervals = "; what is as above left out" if len(part) < len(whole) else ""
        shown |= set(whole["key"])
        if part["seed"].nunique() > 1:
            intervals += ", 95% half widths over seeds, conditional on the models they share"
        parts.append(table(summary(part, RUN_COLUMNS), f"{about}: means{intervals}"))
        stages = stage_table(part)
        parts.append(
            folded(
                f"Stages and their times: {about}", table(stages, f"Stages of {about}"),
                paragraph(doubtful(stages).strip()),
            )
        )  # fmt: skip
    found = claims(runs)
    if len(found):
        parts.append(table(found, f"{name}: claims, and their computed verdicts"))
    distances = frame.loc[frame["metric"].str.contains("kd_effnet"), "protocol"]
    if len(distances):
        protocols = ", ".join(sorted(distances.unique()))
        parts.append(
            paragraph(f"Distances are on EfficientNet features, no FID or KID: {protocols}.")
        )
    for file, what in PICTURES.items():
        path = runs[0].folder / file
        if path.exists():
            alt = f"{name}, {runs[0].folder.name}: {what}"
            made = results.tried(path, picture, path, alt, what)
            parts += [made] if made else []
    return parts


def body(results: Results) -> Markup | None:
    """Every preset's runs."""
    parts = [paragraph(WHAT)]
    for name, runs in results.groups().items():
        one = results.tried(runs[0].folder, of_group, results, name, runs)
        parts += one or []
    return Markup("\n").join(parts) if len(parts) > 1 else None


SECTION = Section(50, "runs", "Whole runs", body)
