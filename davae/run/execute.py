"""`davae run`: all stages of an experiment, its controls and its no-detail twin, as one table."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

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
from davae.core.records import Measurement, read_measurements
from davae.core.store import SUMMARY, write_json
from davae.models.families.registry import family_of
from davae.run.inputs import check_inputs
from davae.run.pictures import draw
from davae.stages.costs import training_cost
from davae.stages.graph import graph
from davae.stages.methods import METHODS
from davae.stages.stage import Pipeline, Stage

MEASURED = ("baselines", "reconstruction", "no_detail", "generation")
"""The stages whose values make the rows, in the order they are built; those of other methods
follow."""


PSNR = "eval/psnr_db"
"""The held-out figure in an autoencoder's log."""
OF_A_METHOD = ("sampled", "samples", "generation", "latent_distance")
"""Roles that every method has for itself."""


def compared_methods(e: Experiment, methods: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The methods beside `davae` whose images the run judges: those named, or the family's
    controls.

    Raises ValueError for an unknown one.
    """
    unknown = [name for name in methods if name not in METHODS]
    if unknown:
        raise ValueError(f"there is no method {', '.join(unknown)}; methods: {', '.join(METHODS)}")
    return tuple(name for name in methods or family_of(e).controls if name != "davae")


def run_stages(e: Experiment, methods: tuple[str, ...] = ()) -> dict[str, Stage]:
    """The graph of `e`, its no-detail twin's roles `no_detail*`, and those of every other method.

    no_detail: the same decoder trained with D = 0, where a method that is compared with decodes by
    it. The roles of the family's control start with `control`, those of further methods with their
    names."""
    if e.method != "davae" or not e.davae.detail_channels:
        raise ValueError(
            "a run compares the method with others: leave method and detail_channels as they "
            "are, and name what it is "
            "compared with by --methods"
        )
    stages = graph(e)
    without_detail = stages.pop("no_detail_decoder")
    compared = compared_methods(e, methods)
    if not methods or any(decodes_without_detail(e, name) for name in compared):
        twin = graph(replace(e, davae=replace(e.davae, detail_channels=0)))
        stages |= {"no_detail_decoder": without_detail, "no_detail": twin["reconstruction"]}
    for name in compared:
        other = graph(replace(e, method=name))
        prefix, built = role_prefix(e, name), {stage.key for stage in stages.values()}
        own = [role for role in OF_A_METHOD if role in other]
        stages |= {f"{prefix}_{role}": other[role] for role in own}
        for role, stage in other.items():
            if role in ("no_detail_decoder", *OF_A_METHOD):
                continue
            if stage.key not in built:
                stages[role if role not in stages else f"{prefix}_{role}"] = stage
    return stages


def decodes_without_detail(e: Experiment, method: str) -> bool:
    """Whether the method's images come from the decoder that is trained with D = 0."""
    stages = graph(replace(e, method=method))
    decoder = stages["samples"].upstream.get("davae")
    return decoder is not None and decoder.key == stages["no_detail_decoder"].key


def role_prefix(e: Experiment, method: str) -> str:
    """What the roles of a method's stages start with."""
    return "control" if method == family_of(e).controls[0] else method


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


def run_experiment(
    e: Experiment, preset: str, pipeline: Pipeline, out: Path, methods: tuple[str, ...] = ()
) -> RunResult:
    """Build every stage, append the records and redraw table, curves and grids below `out`."""
    check_inputs(e)
    stages = run_stages(e, methods)
    others = {name: f"{role_prefix(e, name)}_generation" for name in compared_methods(e, methods)}
    distances = [
        role for role in stages if role == "latent_distance" or role.endswith("_latent_distance")
    ]
    measured = (*(role for role in MEASURED if role in stages), *others.values(), *distances)
    counting = pipeline.counting(stages[role] for role in measured)
    for role in measured:
        counting.path(stages[role])
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
