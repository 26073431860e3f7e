"""Ablations: declared arms, run over cached stages, recorded arm by arm."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from davae import records
from davae.config import Experiment, digest
from davae.findings import Claim, findings_table, judge
from davae.plots import level_figure
from davae.run import value_columns
from davae.stages.evaluation import read_values
from davae.stages.graph import analyses, graph
from davae.stages.stage import Pipeline, Stage
from davae.stats import t_interval
from davae.tables import cell, to_markdown

SIDECARS = "sidecars"
WIDE = 12
"""Metrics that a table of one arm a row holds at most."""
FAILURES = (ValueError, ArithmeticError, RuntimeError)
"""What a failed arm may raise and still leave a record: a bad config, a diverged training, or torch's."""


@dataclass(frozen=True)
class Arm:
    """One setting of an ablation."""

    name: str
    factor: str
    level: float
    experiment: Experiment
    reference: bool = False
    """Whether this is the arm that the others are compared with."""


@dataclass(frozen=True)
class Ablation:
    """A question, the arms that answer it, the metrics shown, and the claims judged."""

    name: str
    question: str
    arms: Callable[[Experiment], tuple[Arm, ...]]
    metrics: dict[str, str]
    """Metric to column title, in the order of table and figure."""
    claims: tuple[Claim, ...] = ()
    plotted: tuple[str, ...] = ()
    """Metrics of the figure; empty: all."""
    measured: tuple[str, ...] = ("reconstruction", "generation")
    """Roles of the stages whose values are recorded."""
    sidecars: dict[str, str] = field(default_factory=dict)
    """Role to the file of its artifact that is kept beside the records, to draw from."""
    draw: Callable[[dict[tuple[str, int], dict[str, Path]], Path], None] | None = None
    """Further figures from the sidecars, {(arm, seed): {role: file}}, into a folder."""
    full_length: bool = False
    """Whether arms train as long as a run of the preset does, rather than as its short arms."""


def arm_stages(arm: Arm) -> dict[str, Stage]:
    """Every stage that an ablation may measure, by role."""
    return {**graph(arm.experiment), **analyses(arm.experiment)}


def arm_key(ablation: Ablation, arm: Arm) -> str:
    """A digest of the experiment and of the keys of the stages measured: of their versions, too."""
    stages = arm_stages(arm)
    return digest([arm.experiment, [stages[role].key for role in ablation.measured if role in stages]])


def keep_sidecars(ablation: Ablation, arm: Arm, seed: int, pipeline: Pipeline, folder: Path) -> dict[str, str]:
    """Copy the arm's sidecars below `folder` under names with their hash; {`sidecar_ROLE`: file name}."""
    kept = {}
    for role, name in ablation.sidecars.items():
        content = (pipeline.path(arm_stages(arm)[role]) / name).read_bytes()
        sha = hashlib.sha256(content).hexdigest()[:12]
        file = folder / f"{arm.name}.seed{seed}.{role}.{sha}{Path(name).suffix}"
        folder.mkdir(exist_ok=True)
        file.write_bytes(content)
        kept[f"sidecar_{role}"] = file.name
    return kept


def run_arm(ablation: Ablation, arm: Arm, pipeline: Pipeline) -> list[dict[str, Any]]:
    """The measured columns of an arm, a dict a value."""
    stages = arm_stages(arm)
    absent = [role for role in ablation.measured if role not in stages]
    if absent:
        raise ValueError(f"the arm has no stage {', '.join(absent)}; set the ablation's `measured`")
    values = [v for role in ablation.measured for v in read_values(pipeline.path(stages[role]))]
    shown = [v for v in values if v.metric in ablation.metrics and v.arm not in ("davae_zeroed", "davae_random")]
    return [value_columns(v) for v in shown]


def run_ablation(
    ablation: Ablation, base: Experiment, preset: str, seeds: list[int], pipeline: Pipeline, out: Path
) -> Path:
    """Run every arm at every seed that has no record yet; write table, findings and figure.

    A failed arm leaves one record with its error and the others go on.
    """
    folder = out / preset / "ablations" / ablation.name
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "records.jsonl"
    run_id = records.new_run_id()
    for seed in seeds:
        for arm in ablation.arms(replace(base, seed=seed)):
            key = arm_key(ablation, arm)
            if _recorded(path, arm.name, key):
                pipeline.announce(f"{ablation.name}: {arm.name}, seed {seed}: recorded already")
                continue
            pipeline.announce(f"{ablation.name}: {arm.name}, seed {seed}")
            same: dict[str, Any] = {
                "run_id": run_id,
                "suite": f"ablation/{ablation.name}",
                "preset": preset,
                "seed": seed,
                "key": key,
            }
            same |= {"factor": arm.factor, "level": arm.level, "reference": arm.reference}
            try:
                measured = run_arm(ablation, arm, pipeline)
                same |= keep_sidecars(ablation, arm, seed, pipeline, folder / SIDECARS)
            except FAILURES as error:
                failed = records.row(**same, arm=arm.name)
                records.append(path, [{**failed, "status": "failed", "error": f"{type(error).__name__}: {error}"}])
                pipeline.announce(f"{ablation.name}: {arm.name}, seed {seed} failed: {error}")
                continue
            records.append(path, [records.row(**{**same, **v, "arm": arm.name}) for v in measured])
    report(ablation, folder)
    return folder


def _recorded(path: Path, arm: str, key: str) -> bool:
    """Whether the arm has measured values under the key of its experiment."""
    if not path.exists():
        return False
    frame = records.load(path)
    return bool(((frame["arm"] == arm) & (frame["key"] == key) & (frame["status"] == "ok")).any())


def summary_table(ablation: Ablation, frame: pd.DataFrame) -> pd.DataFrame:
    """An arm a row: mean over seeds of each metric, with the 95% interval's half width if there is one."""
    rows = []
    for arm in frame["arm"].unique():
        part = frame[frame["arm"] == arm]
        row: dict[str, Any] = {"arm": arm, "level": part["level"].iloc[0], "seeds": part["seed"].nunique()}
        for metric, title in ablation.metrics.items():
            values = part.loc[part["metric"] == metric, "value"]
            if values.empty:
                continue
            interval = t_interval(values.to_numpy())
            row[title] = interval.mean
            if interval.n > 1:
                row[f"{title} ±"] = interval.high - interval.mean
        rows.append(row)
    return pd.DataFrame(rows)


def upright(table: pd.DataFrame) -> pd.DataFrame:
    """The table with an arm a column, for many metrics."""
    return table.set_index("arm").T.rename_axis("metric").reset_index().rename_axis(None, axis=1)


def still_failed(frame: pd.DataFrame) -> pd.DataFrame:
    """The last failure of each (arm, seed) that has no measured values."""
    done = set(frame.loc[frame["status"] == "ok", ["arm", "seed"]].itertuples(index=False, name=None))
    failed = frame[(frame["status"] != "ok")].drop_duplicates(["arm", "seed"], keep="last")
    return failed[[pair not in done for pair in failed[["arm", "seed"]].itertuples(index=False, name=None)]]


def report(ablation: Ablation, folder: Path) -> None:
    """table.csv, table.md, figure.svg and figure.png from the folder's records alone."""
    everything = records.load(folder / "records.jsonl")
    frame = everything[everything["status"] == "ok"]
    failed = still_failed(everything)
    if frame.empty:
        raise ValueError(f"every arm of {ablation.name} failed; the first error: {failed['error'].iloc[0]}")
    frame = records.latest(frame)
    table = summary_table(ablation, frame)
    table.to_csv(folder / "table.csv", index=False)
    text = f"**{ablation.question}**\n\n" + to_markdown(table if len(ablation.metrics) <= WIDE else upright(table))
    judged = [judge(claim, frame) for claim in ablation.claims if {claim.a, claim.b} <= {*frame["arm"], ""}]
    if judged:
        findings = findings_table(judged)
        findings.to_csv(folder / "findings.csv", index=False)
        text += "\nVerdicts are computed from the 95% interval of the paired difference over seeds; "
        text += "one seed decides nothing.\n\n" + to_markdown(findings)
    for claim in ablation.claims:
        if not {claim.a, claim.b} <= {*frame["arm"], ""}:
            text += f"\nNot judged, for want of an arm: {claim.text}\n"
    for _, row in failed.iterrows():
        text += f"\nFailed: {row['arm']}, seed {cell(row['seed'])}: {row['error']}\n"
    (folder / "table.md").write_text(text)
    factor = str(frame["factor"].iloc[0])
    panels = {metric: ablation.metrics[metric] for metric in ablation.plotted or ablation.metrics}
    level_figure(frame, panels, factor, ablation.question, folder / "figure.svg", folder / "figure.png")
    if ablation.draw is not None:
        ablation.draw(sidecar_files(frame, ablation, folder / SIDECARS), folder)


def sidecar_files(frame: pd.DataFrame, ablation: Ablation, folder: Path) -> dict[tuple[str, int], dict[str, Path]]:
    """{(arm, seed): {role: file}} of the records."""
    files: dict[tuple[str, int], dict[str, Path]] = {}
    for _, row in frame.drop_duplicates(["arm", "seed"], keep="last").iterrows():
        files[row["arm"], int(row["seed"])] = {role: folder / row[f"sidecar_{role}"] for role in ablation.sidecars}
    return files
