"""The tables of whole runs."""

from __future__ import annotations

from collections import defaultdict

import pandas as pd
from markupsafe import Markup

from davae.analysis.stats import t_interval
from davae.analysis.tables import (
    RUN_COLUMNS,
    RUN_ROWS,
    cell,
    column_titles,
    doubtful,
    extractor_of,
    run_table,
    stage_table,
)
from davae.core import records
from reports.html import paragraph, picture, table
from reports.results import Kept, Results
from reports.section import Section

PICTURES = {"samples.png": "samples of every row", "curves.png": "training curves"}
SEEDLESS = ("real", "bicubic", "base_vae")
"""Rows whose names start so do not depend on the seed."""


def seed_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean and 95% half width of the rows that depend on the seed."""
    columns, extractors = column_titles(frame, RUN_COLUMNS), extractor_of(frame["protocol"])
    rows = []
    for arm in [arm for arm in RUN_ROWS if not arm.startswith(SEEDLESS)]:
        row: dict[str, object] = {"row": RUN_ROWS[arm]}
        for (metric, extractor), title in columns.items():
            of_column = (frame["metric"] == metric) & (extractors == extractor)
            values = frame.loc[(frame["arm"] == arm) & of_column, "value"]
            if len(values):
                interval = t_interval(values.to_numpy())
                row[title] = f"{interval.mean:.4g} ± {interval.high - interval.mean:.2g}"
        if len(row) > 1:
            rows.append(row)
    return pd.DataFrame(rows)


SUMMARY = (
    "psnr_db", "rkd_effnet", "gkd_effnet", "detail_accuracy", "content_accuracy", "latent_fd_base",
    "latent_fd_detail",
)  # fmt: skip
"""Columns of a run's short table."""


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of a run with its main columns: the mean over seeds, and the 95% half width of those
    rows that have several values."""
    titles = {metric: RUN_COLUMNS[metric] for metric in SUMMARY}
    quality = frame[frame["metric"].isin(SUMMARY)]
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
    text = cell(float(interval.mean))
    half = interval.high - interval.mean
    return f"{text} ± {cell(float(f'{half:.2g}'))}" if interval.n > 1 and half > 0 else text


def by_preset(results: Results) -> dict[str, list[Kept]]:
    """The runs of each preset."""
    found: dict[str, list[Kept]] = defaultdict(list)
    for kept in results.runs:
        found[kept.preset].append(kept)
    return found


def latest_of(runs: list[Kept]) -> pd.DataFrame:
    """The last rows of several runs."""
    return records.latest(pd.concat([kept.frame for kept in runs], ignore_index=True))


def of_preset(preset: str, runs: list[Kept]) -> list[Markup]:
    """The tables of one preset's runs, and the pictures of the first."""
    frame = latest_of(runs)
    parts = [Markup("<h3>{}</h3>").format(preset)]
    for base_seed, part in frame.groupby("base_seed"):
        seeds = ", ".join(str(seed) for seed in sorted(part["seed"].unique()))
        about = f"{preset}, base seed {base_seed}, seeds {seeds}"
        parts.append(table(run_table(part), f"{about}: means over seeds"))
        if part["seed"].nunique() > 1:
            caption = (
                f"{about}: 95% intervals of the mean over seeds, conditional on the base models"
            )
            parts.append(table(seed_table(part), caption))
    distances = frame.loc[frame["metric"].str.contains("kd_effnet"), "protocol"]
    if len(distances):
        protocols = ", ".join(sorted(distances.unique()))
        parts.append(
            paragraph(f"Distances are on EfficientNet features, no FID or KID: {protocols}.")
        )
    stages = stage_table(frame)
    parts += [
        Markup("<details><summary>Stages and their times</summary>{}{}</details>").format(
            table(stages, f"Stages of {preset}"), paragraph(doubtful(stages).strip())
        )
    ]
    for name, what in PICTURES.items():
        path = runs[0].folder / name
        if path.exists():
            parts.append(picture(path, f"{preset}, {runs[0].folder.name}: {what}", what))
    return parts


def body(results: Results) -> Markup | None:
    """Every preset's runs."""
    parts = [part for name, runs in by_preset(results).items() for part in of_preset(name, runs)]
    return Markup("\n").join(parts) if parts else None


SECTION = Section(50, "runs", "Whole runs", body)
