"""The report page: run table, ablations and benchmarks, from records alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd

from davae.analysis.findings import CONDITIONS
from davae.analysis.plots import roofline_figure
from davae.analysis.stats import t_interval
from davae.analysis.tables import (
    RUN_COLUMNS,
    RUN_ROWS,
    WIDE,
    column_titles,
    doubtful,
    extractor_of,
    run_table,
    stage_table,
    to_markdown,
    upright,
)
from davae.core import records

UNADJUSTED = (
    "Verdicts come from the unadjusted 95% interval of the paired difference over seeds; one seed "
    "decides nothing."
)
"""Of findings that were computed before p-values were recorded."""


def page(root: Path, to: Path) -> str:
    """The Markdown page of all records below `root`; pictures are linked relative to `to`'s folder.

    Raises ValueError if there are no records.
    """
    paths = sorted(root.rglob("records.jsonl"))
    benchmarks = [path for path in sorted(root.rglob("*.json")) if records.is_benchmark(path)]
    if not paths and not benchmarks:
        raise ValueError(
            f"no records below {root}; run `davae run smoke` first, or name another --records"
        )
    suites = {path: records.load_records(path)["suite"].iloc[0] for path in paths}
    runs = [path for path, suite in suites.items() if suite == "run"]
    parts = ["# davae report\n"]
    for preset in sorted({p.parent.parent for p in runs}):
        parts += run_section(preset, [p for p in runs if p.parent.parent == preset], to)
    for path, suite in suites.items():
        if suite == "ablation":
            parts += ablation_section(path.parent, to)
        elif suite == "eval":
            table = (path.parent / "table.md").read_text()
            parts += [f"## Evaluation: `{path.parent.name}`\n", table]
    for path in benchmarks:
        parts += benchmark_section(path, to)
    return "\n".join(parts)


def link(path: Path, to: Path, text: str) -> str:
    """A Markdown picture, relative to the page."""
    return f"![{text}]({os.path.relpath(path, to.parent)})\n"


def run_section(preset: Path, paths: list[Path], to: Path) -> list[str]:
    """The table of one preset's runs: means over seeds, and the spread where there are several."""
    frame = records.latest(records.load_records(*paths))
    parts = [f"## Run: `{preset.name}`\n"]
    for base_seed, part in frame.groupby("base_seed"):
        seeds = ", ".join(str(seed) for seed in sorted(part["seed"].unique()))
        parts += [f"Base seed {base_seed}, seeds {seeds}:\n", to_markdown(run_table(part))]
        if part["seed"].nunique() > 1:
            parts += [
                "95% intervals of the mean over seeds (Student's t), conditional on the base "
                "models that the seeds share:\n",
                to_markdown(seed_table(part)),
            ]
    parts.append(provenance(frame))
    stages = stage_table(frame)
    parts += ["Stages:\n", to_markdown(stages), doubtful(stages)]
    for path in paths:
        environment = path.parent / "environment.json"
        if environment.exists():
            parts.append(f"{path.parent.name}: {machine_text(json.loads(environment.read_text()))}")
    for path in paths:
        for name in ("glance.png", "samples.png", "reconstruction.png", "curves.png"):
            if (path.parent / name).exists():
                parts.append(
                    link(path.parent / name, to, f"{preset.name} {path.parent.name}: {name}")
                )
    return parts


def seed_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean and 95% half width of the rows that depend on the seed."""
    columns, extractors = column_titles(frame, RUN_COLUMNS), extractor_of(frame["protocol"])
    rows = []
    for arm in [arm for arm in RUN_ROWS if not arm.startswith(("real", "bicubic", "base_vae"))]:
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


def provenance(frame: pd.DataFrame) -> str:
    """Revisions and protocols of the records."""
    shas = ", ".join(sorted({str(sha)[:10] or "unknown" for sha in frame["git_sha"]}))
    dirty = " (with uncommitted changes)" if frame["git_dirty"].any() else ""
    distances = frame[frame["metric"].str.contains("kd_effnet")]
    protocols = ", ".join(f"`{p}`" for p in sorted(distances["protocol"].unique()))
    text = f"Revision {shas}{dirty}. "
    if not protocols:
        return f"{text}\n"
    return (
        f"{text}Protocols of the distances: {protocols}. `kd_effnet` and `fd_effnet` are distances "
        "on EfficientNet-Lite0 features; they are not KID or FID.\n"
    )


def ablation_section(folder: Path, to: Path) -> list[str]:
    """An ablation's own table, findings and figures."""
    preset = folder.parent.parent.name
    frame = records.load_records(folder / "records.jsonl")
    table = pd.read_csv(folder / "table.csv")
    if len(table.columns) > WIDE:
        table = upright(table)
    parts = [f"## Ablation: `{folder.name}` at `{preset}`\n", to_markdown(table)]
    if (folder / "findings.csv").exists():
        findings = pd.read_csv(folder / "findings.csv")
        text = CONDITIONS if "p" in findings else UNADJUSTED
        parts += [f"{text}\n", to_markdown(findings)]
    pictures = [
        link(path, to, f"{folder.name} at {preset}: {path.stem}")
        for path in sorted(folder.glob("*.png"))
    ]
    return [*parts, provenance(frame), *pictures]


def benchmark_section(path: Path, to: Path) -> list[str]:
    """A benchmark file's cases, the machine they were timed on, and the roofline, drawn beside the
    page."""
    frame = records.load_records(path)
    failed = frame[frame["status"] != "ok"]
    frame = frame[frame["status"] == "ok"]
    frame["images_per_s"] = frame["batch"] / frame["median_s"]
    frame = frame.reindex(columns=sorted({*frame.columns, "flops_forward", "tokens"}))
    frame["gflops_per_s"] = frame["flops_forward"].astype(float) / frame["median_s"] / 1e9
    columns = {
        "arm": "case",
        "stage": "stage",
        "resolution_px": "px",
        "tokens": "tokens",
        "batch": "batch",
        "weights": "weights",
        "median_s": "median s",
        "images_per_s": "img/s",
        "gflops_per_s": "GFLOP/s",
    }
    job = json.loads(path.read_text())["machine_info"]["davae"]
    ceiling = (
        f"float32 matrix product {job['matmul_flops_per_second'] / 1e9:.0f} GFLOP/s in "
        "the same job. "
    )
    parts = [
        f"## Benchmarks: `{path.name}`\n",
        to_markdown(frame[list(columns)].rename(columns=columns)),
    ]
    parts += [f"Failed: {row['arm']}: {row['error']}\n" for _, row in failed.iterrows()]
    parts.append(ceiling + machine_text(job))
    points = roofline_points(frame)
    if len(points):
        picture = to.parent / f"{path.name.partition('.')[0]}.roofline.png"
        picture.parent.mkdir(parents=True, exist_ok=True)
        rates = job["matmul_flops_per_second"], job["copy_bytes_per_second"]
        roofline_figure((picture,), points, *rates)
        parts.append(link(picture, to, f"roofline of {path.name}"))
    return parts


def roofline_points(frame: pd.DataFrame) -> pd.DataFrame:
    """The eager cases whose FLOPs and bytes were counted: case, intensity, flops_per_second."""
    if "bytes_moved" not in frame:
        return pd.DataFrame()
    kept = frame[(frame["bytes_moved"] > 0) & (frame["compile"] == "off")]
    return pd.DataFrame(
        {
            "case": kept["arm"].str.extract(r"\[(.*)\]", expand=False),
            "intensity": kept["flops_forward"] / kept["bytes_moved"],
            "flops_per_second": kept["flops_forward"] / kept["median_s"],
        }
    )


def machine_text(environment: dict[str, Any]) -> str:
    """Machine and versions in a sentence each."""
    machine, versions = environment["machine"], environment["versions"]
    return (
        f"Machine: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, GPUs: "
        f"{', '.join(machine['gpus']) or 'none'}; {machine['threads']} threads. "
        f"Versions: {', '.join(f'{k} {v}' for k, v in versions.items())}.\n"
    )
