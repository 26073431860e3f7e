"""`davae run`: all stages of an experiment, its controls and its no-detail twin, as one table."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from davae.analysis.tables import (
    STAGE_PREFIX,
    curve_frame,
    doubtful,
    run_table,
    stage_table,
    to_markdown,
)
from davae.core import records
from davae.core.environment import machine, versions
from davae.core.experiment import Experiment
from davae.core.hashing import digest
from davae.core.presets import PRESETS
from davae.core.ranks import alone, ranks
from davae.core.records import Measurement, read_measurements
from davae.core.runtime import Runtime
from davae.core.store import SUMMARY, write_json
from davae.models.unweighted import architecture
from davae.run.pictures import draw
from davae.stages.costs import training_cost
from davae.stages.fit import fits, settings
from davae.stages.inputs import check_inputs
from davae.stages.methods import METHODS
from davae.stages.run_graph import compared_methods, role_prefix, run_stages
from davae.stages.stage import Pipeline, Stage
from davae.train.parallel import asked_classes, check_sharding, check_shares

MEASURED = ("baselines", "reconstruction", "no_detail", "generation")
"""The stages whose values make the rows, in the order they are built; those of other methods
follow."""


PSNR = "eval/psnr_db"
"""The held-out figure in an autoencoder's log."""


@dataclass(frozen=True)
class RunResult:
    """What a run leaves: the table's Markdown, its records, the folder with records, table and
    pictures, and the samples."""

    table: str
    records: pd.DataFrame
    """What the table shows."""
    folder: Path
    samples: Path
    """uint8 images of the adapted model, for `davae eval`."""


def fitted(e: Experiment, stages: dict[str, Stage], pipeline: Pipeline) -> Pipeline:
    """On a GPU, the pipeline with the settings under which every stage fits it; raises ValueError
    where one does not."""
    runtime = pipeline.runtime
    if runtime.kind != "cuda":
        return pipeline
    memory = torch.cuda.get_device_properties(runtime.device).total_memory
    found = fits(e, stages, ranks().told(memory) / 2**30, runtime)  # alike on all, as parts must be
    for fit in found.values():
        if fit.settings:
            pipeline.announce(f"{fit.role}: {fit.settings}, to fit the GPU")
    return replace(pipeline, settings=settings(found))


def run_experiment(
    e: Experiment, preset: str, pipeline: Pipeline, out: Path, methods: tuple[str, ...] = ()
) -> RunResult:
    """Build every stage, append the records and redraw table, curves and grids below `out`."""
    check_inputs(e)
    check_launch(e, pipeline.runtime)
    stages = run_stages(e, methods)
    keyed(stages)
    others = {name: f"{role_prefix(e, name)}_generation" for name in compared_methods(e, methods)}
    distances = [
        role for role in stages if role == "latent_distance" or role.endswith("_latent_distance")
    ]
    measured = (*(role for role in MEASURED if role in stages), *others.values(), *distances)
    pipeline = fitted(e, stages, pipeline)
    on_host = [fit.get("ema_on_host", False) for fit in pipeline.settings.values()]
    check_launch(e, replace(pipeline.runtime, ema_on_host=any(on_host)))
    counting = pipeline.counting(stages[role] for role in measured)
    for role in measured:
        counting.path(stages[role])
    if not ranks().main:
        sys.exit(0)
    with alone():
        return reported(e, preset, pipeline, out, stages, measured, others)


def check_launch(e: Experiment, runtime: Runtime) -> None:
    """Raise ValueError for what the launched processes cannot do, before hours are spent."""
    check_shares(trained_batches(e))
    if asked_classes():
        with torch.device("meta"):
            there = {type(m).__name__ for m in architecture(e).build().modules()}
        check_sharding(there, compiled=bool(runtime.compile), ema_on_host=runtime.ema_on_host)


def keyed(stages: dict[str, Stage]) -> None:
    """Let the main rank read data and weights for the keys first, so that what it found is kept
    where the others look."""
    if ranks().main:
        for stage in stages.values():
            _ = stage.key
    ranks().wait()


def trained_batches(e: Experiment) -> dict[str, int]:
    """The batches of what the experiment trains, by the setting."""
    trained = {"davae.train": e.davae.train, "adapt.train": e.adapt.train}
    if not e.base_vae.pretrained:
        trained["base_vae.train"] = e.base_vae.train
    if not e.base_dit.pretrained:
        trained["base_dit.train"] = e.base_dit.train
    return {f"{name}.batch_size": train.batch_size for name, train in trained.items()}


def reported(
    e: Experiment, preset: str, pipeline: Pipeline, out: Path, stages: dict[str, Stage],
    measured: tuple[str, ...], others: dict[str, str],
) -> RunResult:  # fmt: skip
    """Records, table, curves and grids of a run whose stages are there; others: the stages that
    measured other methods, by the method."""
    folder = out / preset / run_name(e, preset)
    folder.mkdir(parents=True, exist_ok=True)
    rows = measured_rows(e, preset, pipeline, stages, measured)
    append_new(folder / "records.jsonl", rows)
    trained = trained_on(pipeline, stages)
    about = {"machine": machine(), "versions": versions(), "trained": trained}
    write_json(folder / "environment.json", about)
    frame = records.load_records(folder / "records.jsonl")
    frame = records.latest(frame[frame["key"].isin({row["key"] for row in rows})])
    own = {role for role, s in stages.items() if pipeline.store.built(s.name, s.key)}
    text = table_text(e, preset, frame, folder, own)
    generated = {METHODS[name].row: role for name, role in others.items()} | {
        "adapted": "generation"
    }
    draw(folder, pipeline, stages, generated)
    return RunResult(text, frame, folder, pipeline.path(stages["samples"]) / "images.npy")


def trained_on(pipeline: Pipeline, stages: dict[str, Stage]) -> dict[str, dict[str, Any]]:
    """Every network of the run by its role: the machine, precision, threads and revision that it
    was trained with, which need not be those of this run."""
    found = {}
    for role, stage in stages.items():
        if (pipeline.store.folder(stage.name, stage.key) / SUMMARY).exists():
            manifest = pipeline.store.manifest(stage.name, stage.key)
            runtime = {name: manifest["runtime"][name] for name in ("dtype", "compile")}
            at = {name: manifest["machine"][name] for name in ("cpu", "threads")}
            found[role] = {"key": stage.key, "git_sha": manifest["git_sha"], **at, **runtime}
    return found


def table_text(e: Experiment, preset: str, frame: pd.DataFrame, folder: Path, own: set[str]) -> str:
    """table.csv and table.md, whose text is returned.

    own: the roles of the stages that are in the store, and not among the shipped models."""
    table = run_table(frame)
    table.to_csv(folder / "table.csv", index=False)
    names, stages = e.names(), stage_table(frame)
    title = (
        f"`{preset}`, seed {e.seed}: base {names['base']} at {e.base_px} px, DA-VAE "
        f"{names['davae']} at "
    )
    text = (
        f"{title}{e.data.resolution_px} px, {(e.latent_size // e.base_dit.patch_size) ** 2} "
        "tokens\n\n"
    )
    minutes = stages.set_index("stage")["seconds"] / 60
    here, shipped = (minutes[minutes.index.isin(own) == mine].sum() for mine in (True, False))
    text += (
        f"{to_markdown(table)}\n{to_markdown(stages)}\n{doubtful(stages)}The stages of this store "
        f"took {here:.1f} minutes; the shipped networks {shipped:.1f} more, when they were made."
        "\n\n"
    )
    (folder / "table.md").write_text(text)
    return text


def run_name(e: Experiment, preset: str) -> str:
    """`seedN`, with a digest behind it where fields of the preset were overridden."""
    if e == replace(PRESETS[preset], seed=e.seed):
        return f"seed{e.seed}"
    return f"seed{e.seed}-{digest(e, 8)}"


def append_new(path: Path, rows: list[dict[str, Any]]) -> None:
    """Append the rows whose arm, metric, protocol and key are not recorded yet, so that a rerun
    adds nothing."""
    identity = ("arm", "metric", "protocol", "key")
    recorded: set[tuple[str, ...]] = set()
    if path.exists():
        recorded = set(
            records.load_records(path)[list(identity)].itertuples(index=False, name=None)
        )
    fresh = [row for row in rows if tuple(row[name] for name in identity) not in recorded]
    if fresh:
        records.append(path, fresh)


def measured_rows(
    e: Experiment,
    preset: str,
    pipeline: Pipeline,
    stages: dict[str, Stage],
    measured: tuple[str, ...],
) -> list[dict[str, Any]]:
    """One record a measurement: the quality rows, then seconds and throughput of every stage."""
    identity: dict[str, Any] = {
        "run_id": records.new_run_id(),
        "suite": "run",
        "preset": preset,
        "base_seed": e.base_seed,
        "seed": e.seed,
    }

    def record(stage: Stage, arm: str, m: Measurement) -> dict[str, Any]:
        return records.row(**identity, key=stage.key, recipe=stage.recipe, arm=arm, **m.columns())

    rows = []
    for role in measured:
        rows += [
            record(stages[role], arm, m)
            for arm, m in read_measurements(pipeline.path(stages[role]))
        ]
    for role in measured:
        if "samples" in stages[role].upstream:
            arm = stages[role].config["arm"]
            rows += [record(stages[role], arm, m) for m in training_cost(pipeline, stages[role])]
    built = {r: s for r, s in stages.items() if pipeline.store.has(s.name, s.key)}
    for role, stage in built.items():
        rows += [
            record(stage, f"{STAGE_PREFIX}{role}", m) for m in stage_measurements(pipeline, stage)
        ]
    return rows


def stage_measurements(pipeline: Pipeline, stage: Stage) -> list[Measurement]:
    """Seconds of a stage and, if it trains, its steps, FLOPs, rate and last held-out figures."""
    folder = pipeline.path(stage)
    seconds = pipeline.store.manifest(stage.name, stage.key)["seconds"]
    clock = "wall clock, uninterrupted parts added up"
    measured = [Measurement("seconds", seconds, 1, higher_is_better=False, protocol=clock)]
    if not (folder / SUMMARY).exists():
        return measured
    summary = json.loads((folder / SUMMARY).read_text())
    for name in ("steps", "parameters", "flops_step"):
        measured.append(Measurement(name, summary[name], 1, protocol="counted"))
    for name in records.TIMED_METRICS:
        if name in summary:
            steps = summary["steps"]
            measured.append(
                Measurement(
                    name, summary[name], steps, higher_is_better=True, protocol="median step"
                )
            )
    return measured + plateau(folder)


def plateau(folder: Path) -> list[Measurement]:
    """By how much a held-out flow loss of a DiT's EMA fell, or the held-out PSNR of an autoencoder
    rose, over the last quarter of the training, in percent."""
    curve = curve_frame(folder)
    measured = []
    for name in [c for c in curve.columns if c.startswith(("eval/heldout", PSNR))]:
        points = curve[["step", name]].dropna()
        if len(points) < 5:
            continue
        rises = name == PSNR
        early = points[points["step"] <= 0.75 * points["step"].max()][name].iloc[-1]
        share = 100 * (points[name].iloc[-1] - early) / early
        metric = f"{name.removeprefix('eval/')}_last_quarter_{'rise' if rises else 'fall'}_percent"
        protocol = "over the last quarter of the steps, on held-out crops"
        value = share if rises else -share
        measured.append(Measurement(metric, value, 1, higher_is_better=False, protocol=protocol))
    return measured
