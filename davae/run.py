"""`davae run`: all stages of an experiment, its control and its no-detail twin, as one table."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from davae import records
from davae.config import Experiment, digest
from davae.environment import machine, versions
from davae.features.weights import MissingWeights
from davae.losses import lpips_weights
from davae.plots import curves_figure, image_rows
from davae.presets import PRESETS
from davae.stages.evaluation import Value, read_values
from davae.stages.graph import graph
from davae.stages.stage import Pipeline, Stage
from davae.stages.training import class_names, crops
from davae.store import write_json
from davae.tables import curve_frame, run_table, to_markdown
from davae.train.loop import LOG, SUMMARY

MEASURED = ("baselines", "reconstruction", "no_detail", "generation", "control_generation")
"""The stages whose values make the rows, in the order they are built."""


def run_stages(e: Experiment) -> dict[str, Stage]:
    """The graph of `e`, and the roles `no_detail*` and `control*` of its two comparisons.

    no_detail: the same decoder trained with D = 0. control: the base model trained as many FLOPs
    longer as the adaptation took, its samples enlarged; in text to image the pretrained pipeline itself.
    """
    if e.method != "davae" or not e.davae.detail_channels:
        raise ValueError("a run compares the method with its controls: leave method and detail_channels as they are")
    stages = graph(e)
    twin = graph(replace(e, davae=replace(e.davae, detail_channels=0)))
    control = graph(replace(e, method="base_upsampled"))
    stages |= {"no_detail_decoder": twin["davae"], "no_detail": twin["reconstruction"]}
    stages |= {f"control_{role}": control[role] for role in ("samples", "generation")}
    return stages | ({"control": control["control"]} if "control" in control else {})


def check_inputs(e: Experiment) -> None:
    """Raise ValueError that lists all that the experiment needs and is not there, before hours are spent."""
    problems = []
    for what, path, use in (
        ("data.path", e.data.path if e.data.name == "folder" else "", "a folder of images, one sub-folder a class"),
        ("data.captions", e.data.captions, "a .csv, .tsv or .jsonl file with the columns file and caption"),
    ):
        if path and not Path(path).exists():
            problems.append(f"{what} is {path!r}, which is not there: {use}")
    if e.base_dit.family == "lightning":
        for field, path in (("base_vae", e.base_vae.pretrained), ("base_dit", e.base_dit.pretrained)):
            if path and not Path(path).exists():
                made = "the folder that `davae convert CHECKPOINT --out FOLDER` writes"
                problems.append(f"{field}.pretrained is {path!r}, which is not there: {made}")
    if e.davae.lpips_weight:
        try:
            lpips_weights("vgg")
        except MissingWeights as error:
            problems.append(str(error))
    if e.adapt.lora_rank and find_spec("peft") is None:
        problems.append("LoRA needs peft: pip install 'davae[sd3]'")
    if problems:
        listed = "".join(f"\n  - {problem}" for problem in problems)
        raise ValueError(f"this run needs what is not there:{listed}\n`davae plan` shows what it would compute.")


@dataclass(frozen=True)
class RunResult:
    """What a run leaves: the table's Markdown, the folder with records, table and pictures, and the samples."""

    table: str
    folder: Path
    samples: Path
    """uint8 images of the adapted model, for `davae eval`."""


def run_experiment(e: Experiment, preset: str, pipeline: Pipeline, out: Path) -> RunResult:
    """Build every stage, append the records and redraw table, curves and grids below `out`."""
    check_inputs(e)
    stages = run_stages(e)
    for role in MEASURED:
        pipeline.path(stages[role])
    folder = out / preset / run_name(e, preset)
    folder.mkdir(parents=True, exist_ok=True)
    rows = measured_rows(e, preset, pipeline, stages)
    append_new(folder / "records.jsonl", rows)
    write_json(folder / "environment.json", {"machine": machine(), "versions": versions()})
    frame = records.load(folder / "records.jsonl")
    frame = records.latest(frame[frame["key"].isin({row["key"] for row in rows})])
    table = run_table(frame)
    table.to_csv(folder / "table.csv", index=False)
    names = e.names()
    title = f"`{preset}`, seed {e.seed}: base {names['base']} at {e.base_px} px, DA-VAE {names['davae']} at "
    text = f"{title}{e.data.resolution_px} px, {(e.latent_size // e.base_dit.patch_size) ** 2} tokens\n\n"
    text += to_markdown(table) + "\n" + training_summary(frame) + "\n"
    (folder / "table.md").write_text(text)
    draw(folder, pipeline, stages)
    return RunResult(text, folder, pipeline.path(stages["samples"]) / "images.npy")


def run_name(e: Experiment, preset: str) -> str:
    """`seedN`, with a digest behind it where fields of the preset were overridden."""
    if e == replace(PRESETS[preset], seed=e.seed):
        return f"seed{e.seed}"
    return f"seed{e.seed}-{digest(e, 8)}"


def append_new(path: Path, rows: list[dict[str, Any]]) -> None:
    """Append the rows whose (arm, metric, key) are not recorded yet, so that a rerun adds nothing."""
    known: set[tuple[str, str, str]] = set()
    if path.exists():
        frame = records.load(path)
        known = set(zip(frame["arm"], frame["metric"], frame["key"], strict=True))
    fresh = [row for row in rows if (row["arm"], row["metric"], row["key"]) not in known]
    if fresh:
        records.append(path, fresh)


def measured_rows(e: Experiment, preset: str, pipeline: Pipeline, stages: dict[str, Stage]) -> list[dict[str, Any]]:
    """One record a value: the quality rows, then seconds and throughput of every stage."""
    run_id = records.new_run_id()
    same: dict[str, Any] = {"run_id": run_id, "suite": "run", "preset": preset, "seed": e.seed}
    rows = []
    for role in MEASURED:
        stage = stages[role]
        for v in read_values(pipeline.path(stage)):
            rows.append(records.row(**same, key=stage.key, **value_columns(v)))
    for role, stage in stages.items():
        rows += [records.row(**same, key=stage.key, **value_columns(v)) for v in stage_values(pipeline, role, stage)]
    return rows


def value_columns(v: Value) -> dict[str, Any]:
    """The quality columns of a record."""
    return {
        "arm": v.arm, "metric": v.metric, "value": v.value, "n_samples": v.n_samples,
        "higher_is_better": v.higher_is_better, "protocol": v.protocol,
    }  # fmt: skip


def stage_values(pipeline: Pipeline, role: str, stage: Stage) -> list[Value]:
    """Seconds of a stage and, if it trains, its steps, FLOPs, rate and last held-out figures."""
    folder = pipeline.path(stage)
    seconds = pipeline.store.manifest(stage.name, stage.key)["seconds"]
    arm = f"stage:{role}"
    values = [Value(arm, "seconds", seconds, 1, False, "wall clock, uninterrupted parts added up")]
    if not (folder / SUMMARY).exists():
        return values
    summary = json.loads((folder / SUMMARY).read_text())
    values += [Value(arm, n, summary[n], 1, None, "counted") for n in ("steps", "parameters", "flops_step")]
    timed = [n for n in records.TIMED_METRICS if n in summary]
    values += [Value(arm, n, summary[n], summary["steps"], True, "median step") for n in timed]
    return values + plateau(folder, arm)


def plateau(folder: Path, arm: str) -> list[Value]:
    """By how much the held-out flow loss fell over the last quarter of a DiT's training, in percent."""
    curve = curve_frame(folder)
    if "eval/heldout_base" not in curve:
        return []
    values = []
    for name in [c for c in curve.columns if c.startswith("eval/")]:
        points = curve[["step", name]].dropna()
        if len(points) < 5:
            continue
        early = points[points["step"] <= 0.75 * points["step"].max()][name].iloc[-1]
        fall = 100 * (early - points[name].iloc[-1]) / early
        known = "fall of the EMA's loss over the last quarter of the steps"
        values.append(Value(arm, f"{name.removeprefix('eval/')}_last_quarter_fall_percent", fall, 1, False, known))
    return values


def training_summary(frame: Any) -> str:
    """Seconds a stage, and each training's rate beside the machine's matmul rate."""
    stages = frame[frame["arm"].str.startswith("stage:")]
    wide = stages.pivot_table(index="arm", columns="metric", values="value", sort=False).reset_index()
    wide["stage"] = wide["arm"].str.removeprefix("stage:")
    columns = {"stage": "stage", "seconds": "seconds", "steps": "steps", "parameters": "parameters",
               "flops_per_second": "GFLOP/s", "matmul_flops_per_second": "matmul GFLOP/s",
               "share_of_matmul_rate": "share"}  # fmt: skip
    wide = wide[[c for c in columns if c in wide]].rename(columns=columns)
    for name in ("GFLOP/s", "matmul GFLOP/s"):
        wide[name] = wide[name] / 1e9
    total = f"All stages: {stages.loc[stages['metric'] == 'seconds', 'value'].sum() / 60:.1f} minutes.\n"
    return to_markdown(wide) + "\n" + total


def draw(folder: Path, pipeline: Pipeline, stages: dict[str, Stage]) -> None:
    """samples.png, reconstruction.png and curves.png, and the curves' points as CSV."""
    at_crops = pipeline.path(stages["crops"])
    classes = class_names(at_crops)
    real, labels = crops(at_crops, "fresh")
    real = np.concatenate([real[labels == k][:4] for k in range(len(classes))]).reshape(
        len(classes), 4, *real.shape[1:]
    )
    shown = {
        role: np.load(pipeline.path(stages[role]) / "shown.npz")
        for role in ("reconstruction", "no_detail", "generation", "control_generation")
    }
    count = len(classes)
    rows = {"real": real.swapaxes(0, 1).reshape(-1, *real.shape[2:])}
    rows |= {"control": shown["control_generation"]["samples"], "adapted": shown["generation"]["samples"]}
    image_rows(folder / "samples.png", {name: _by_image(v, count) for name, v in rows.items()}, classes)
    rec, plain = shown["reconstruction"], shown["no_detail"]
    rows = {"original": rec["original"], "D = 0": plain["no_detail"]}
    rows |= {"random": rec["davae_random"], "zeroed": rec["davae_zeroed"], "DA-VAE": rec["davae"]}
    image_rows(folder / "reconstruction.png", {name: _by_image(v, count)[:1] for name, v in rows.items()}, classes)
    (folder / "curves").mkdir(exist_ok=True)
    curves = {}
    for role, stage in stages.items():
        path = pipeline.path(stage)
        if (path / LOG).exists():
            curves[role] = curve_frame(path)
            curves[role].to_csv(folder / "curves" / f"{role}-{stage.key}.csv", index=False)
    curves_figure(folder / "curves.png", curves)


def _by_image(images: np.ndarray, classes: int) -> np.ndarray:
    """Images in class-by-class turns [k classes, ...] -> [k, classes, 3, H, W]."""
    return images.reshape(-1, classes, *images.shape[1:])
