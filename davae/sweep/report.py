"""An ablation's tables, findings and figures, from its records alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from davae.analysis.findings import CONDITIONS, disagreements, findings_table, judge_all
from davae.analysis.pareto import front_shares
from davae.analysis.plots import image_strips, level_figure, pareto_figure
from davae.analysis.ranks import agreement
from davae.analysis.stats import t_interval
from davae.analysis.tables import WIDE, cell, column_titles, extractor_of, to_markdown, upright
from davae.core import records
from davae.sweep.ablation import Ablation, Arm, Sidecars
from davae.sweep.arm import SAMPLES, SIDECARS, file_name

OF_ONE_MODEL = (
    "Here the seeds are those of the noise: intervals are conditional on one adapted model."
)


def summary_table(ablation: Ablation, frame: pd.DataFrame, arms: list[str]) -> pd.DataFrame:
    """An arm a row, in the order of `arms`: mean over seeds of each metric, with the 95% interval's
    half width."""
    columns = column_titles(frame, ablation.metrics)
    rows = []
    for arm in arms:
        part = frame[frame["arm"] == arm]
        if part.empty:
            continue
        row: dict[str, Any] = {
            "arm": arm,
            "level": part["level"].iloc[0],
            "seeds": part["seed"].nunique(),
        }
        extractors = extractor_of(part["protocol"])
        for (metric, extractor), title in columns.items():
            values = part.loc[(part["metric"] == metric) & (extractors == extractor), "value"]
            if values.empty:
                continue
            interval = t_interval(values.to_numpy())
            row[title] = interval.mean
            if interval.n > 1:
                row[f"{title} ±"] = interval.high - interval.mean
        rows.append(row)
    return pd.DataFrame(rows)


def still_failed(frame: pd.DataFrame) -> pd.DataFrame:
    """The last failure of each (arm, seed) that has no measured values."""
    done = set(
        frame.loc[frame["status"] == "ok", ["arm", "seed"]].itertuples(index=False, name=None)
    )
    failed = frame[frame["status"] != "ok"].drop_duplicates(["arm", "seed"], keep="last")
    return failed[
        [pair not in done for pair in failed[["arm", "seed"]].itertuples(index=False, name=None)]
    ]


def report(ablation: Ablation, arms: Sequence[Arm], folder: Path) -> None:
    """The tables and figures of the folder's records; `arms` as they are declared.

    Raises ValueError where no arm has values."""
    draw(ablation, arms, write_tables(ablation, arms, folder), folder)


def write_tables(ablation: Ablation, arms: Sequence[Arm], folder: Path) -> pd.DataFrame:
    """table.csv, table.tex, table.md and findings.csv; the rows that they are of."""
    path = folder / "records.jsonl"
    if not path.exists():
        raise ValueError(f"{ablation.name} has no records")
    everything = records.load_records(path)
    measured, failed = everything[everything["status"] == "ok"], still_failed(everything)
    if measured.empty:
        raise ValueError(
            f"every arm of {ablation.name} failed; the first error: {failed['error'].iloc[0]}"
        )
    frame = records.latest(current(ablation, arms, measured))
    declared = [arm.name for arm in arms]
    names = [*declared, *(name for name in frame["arm"].unique() if name not in declared)]
    table = summary_table(ablation, frame, names)
    table.to_csv(folder / "table.csv", index=False)
    table.to_latex(folder / "table.tex", index=False, float_format="%.4g", escape=True)
    text = f"**{ablation.question}**\n\n" + to_markdown(
        table if len(ablation.metrics) <= WIDE else upright(table)
    )
    if ablation.trains == "samples":
        text += f"\n{OF_ONE_MODEL}\n"
    text += findings_text(ablation, frame, folder)
    text += "".join(f"\n{sentence}\n" for sentence in agreement(frame))
    text += pareto_text(ablation, frame)
    if ablation.write is not None:
        text += ablation.write(frame, folder)
    for _, row in failed.iterrows():
        text += f"\nFailed: {row['arm']}, seed {cell(row['seed'])}: {row['error']}\n"
    (folder / "table.md").write_text(text)
    return frame


def pareto_values(ablation: Ablation, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """Arm to its values [seeds, 2] of the two metrics of the front, under the first extractor,
    turned so that lower is better; seeds that every arm has."""
    columns = []
    for metric in ablation.pareto:
        rows = frame[frame["metric"] == metric]
        first = extractor_of(rows["protocol"]) == extractor_of(rows["protocol"].head(1)).iloc[0]
        wide = rows[first].pivot_table(index="seed", columns="arm", values="value", sort=False)
        columns.append(-wide if rows["higher_is_better"].iloc[0] else wide)
    arms = [arm for arm in columns[0].columns if all(arm in c.columns for c in columns)]
    both = pd.concat([c[arms] for c in columns], axis=1).dropna()
    return {arm: both[arm].to_numpy() for arm in arms}


def pareto_text(ablation: Ablation, frame: pd.DataFrame) -> str:
    """Which arms lie on the front of the ablation's two metrics, and how surely."""
    if not ablation.pareto or not set(ablation.pareto) <= set(frame["metric"]):
        return ""
    x, y = (ablation.metrics[metric] for metric in ablation.pareto)
    shares = front_shares(pareto_values(ablation, frame))
    rows = pd.DataFrame(shares.items(), columns=["arm", "share of resampled seeds on the front"])
    return f"\nFront of {x} and {y}:\n\n{to_markdown(rows)}"


def current(ablation: Ablation, arms: Sequence[Arm], measured: pd.DataFrame) -> pd.DataFrame:
    """The rows of the arms as they are now, at any seed, and those of arms that are gone.

    Rows of before recipes were recorded count as the arm's."""
    recipes = measured["arm"].map({arm.name: ablation.recipe(arm) for arm in arms})
    recorded = measured.get("recipe", recipes)
    return measured[recipes.isna() | recorded.isna() | (recorded == recipes)]


def findings_text(ablation: Ablation, frame: pd.DataFrame, folder: Path) -> str:
    """The claims' verdicts as Markdown, and findings.csv."""
    there = {*frame["arm"], ""}
    low = collapsed(ablation, frame)
    findings = judge_all([c for c in ablation.claims if not {c.a, c.b} & low.keys()], frame)
    text = "".join(f"\nDetail collapsed: {arm} ({why}).\n" for arm, why in low.items())
    if findings:
        table = findings_table(findings)
        table.to_csv(folder / "findings.csv", index=False)
        text = f"\n{CONDITIONS}\n\n{to_markdown(table)}"
        text += "".join(f"\n{sentence}\n" for sentence in disagreements(findings))
    for claim in ablation.claims:
        if not {claim.a, claim.b} <= there:
            text += f"\nNot judged, for want of an arm: {claim.text}\n"
        elif {claim.a, claim.b} & low.keys():
            text += f"\nNot judged, for an arm's detail collapsed: {claim.text}\n"
    return text


def collapsed(ablation: Ablation, frame: pd.DataFrame) -> dict[str, str]:
    """Arms whose mean over seeds lies below a floor of the ablation, and how."""
    found: dict[str, str] = {}
    for metric, floor in ablation.floors.items():
        means = frame[frame["metric"] == metric].groupby("arm", sort=False)["value"].mean()
        for arm, mean in means[means < floor].items():
            found[str(arm)] = f"{ablation.metrics[metric]} {mean:.3g}, floor {floor:g}"
    return found


def draw(ablation: Ablation, arms: Sequence[Arm], frame: pd.DataFrame, folder: Path) -> None:
    """The figure of levels, and the ablation's own figures."""
    there = set(frame["arm"])
    declared = list(dict.fromkeys(arm.level for arm in arms if arm.name in there))
    levels = [*declared, *(level for level in frame["level"].unique() if level not in declared)]
    plotted = {metric: ablation.metrics[metric] for metric in ablation.plotted or ablation.metrics}
    level_figure(
        frame, column_titles(frame, plotted), factor=arms[0].factor, levels=levels,
        title=ablation.question,
        paths=(folder / "figure.svg", folder / "figure.png"),
    )  # fmt: skip
    if ablation.pareto and set(ablation.pareto) <= set(frame["metric"]):
        titles = [ablation.metrics[metric] for metric in ablation.pareto]
        pareto_figure(folder / "pareto.png", pareto_values(ablation, frame), titles)
    strips = {arm.name: folder / SAMPLES / f"{file_name(arm.name)}.png" for arm in arms}
    strips = {name: path for name, path in strips.items() if path.exists()}
    if strips:
        image_strips(folder / "samples.png", strips)
    if ablation.draw is not None:
        ablation.draw(sidecar_files(frame, ablation, folder / SIDECARS), folder)


def sidecar_files(frame: pd.DataFrame, ablation: Ablation, folder: Path) -> Sidecars:
    """The sidecars that the records name."""
    files: Sidecars = {}
    for _, row in frame.drop_duplicates(["arm", "seed"], keep="last").iterrows():
        files[row["arm"], int(row["seed"])] = {
            role: folder / row[f"sidecar_{role}"] for role in ablation.sidecars
        }
    return files
