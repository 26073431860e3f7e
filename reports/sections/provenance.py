"""Machines, versions, revisions, and the commands that make it all again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from davae.core import records
from davae.core.presets import PRESETS
from davae.sweep.took import TIMES, core_minutes, cpus
from reports.html import paragraph, table
from reports.results import Kept, Results
from reports.section import Section

OTHERS = {
    "benchmarks": "make bench",
    "work counters": "davae track counters --write",
    "how often the tracker errs": "davae track noise",
    "plans": "davae plan PRESET --gpu h100 --table FILE",
    "this page": "python -m reports",
}
MINUTES = (
    "Minutes of stages: each stage once, without the networks that the project ships; of runs by "
    "the clock, of ablations those of a core (seconds times threads), as arms may run side by side "
    "and share stages with other ablations. A dash: not kept, nor is an ablation's CPU then."
)


def command_of(kept: Kept, suite: str) -> str:
    """What makes the records again."""
    if suite == "headline":
        return "python -m benchmarks.headline"
    if kept.preset not in PRESETS:
        return "none: its preset is no longer there"
    seeds = " ".join(str(seed) for seed in sorted(kept.frame["seed"].unique()))
    base = int(kept.frame["base_seed"].iloc[0])
    other = f" --base-seed {base}" if base else ""
    if suite == "run":
        return f"davae run {kept.preset} --seed {seeds}{other}"
    name = kept.folder.name.partition("-base")[0]
    return f"python -m ablations {name} --preset {kept.preset} --seeds {seeds}{other}"


def stage_minutes(kept: Kept, suite: str) -> float | None:
    """Minutes of the stages that the records are of, each once: of a run by the clock, of an
    ablation those of a core, for its arms may run side by side; None where they were not kept."""
    if suite == "ablation":
        return core_minutes(kept.folder, set(records.latest(kept.frame)["key"]))
    rows = kept.frame[kept.frame["metric"] == "seconds"]
    seconds = records.latest(rows).drop_duplicates("key")["value"]
    return float(seconds.sum()) / 60 if len(seconds) else None


def machine_row(where: str, about: dict[str, Any]) -> dict[str, Any]:
    """A row of the table of machines."""
    machine = about["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(about["versions"].items()))
    return {
        "records": where, "CPU": machine["cpu"], "cores": machine["cores"],
        "threads": machine["threads"], "memory, GiB": machine["memory_gib"],
        "GPUs": ", ".join(machine["gpus"]) or "none", "versions": versions,
    }  # fmt: skip


def of_environment(where: str, path: Path) -> dict[str, Any]:
    """The row of an environment.json."""
    return machine_row(where, json.loads(path.read_text()))


def of_records(results: Results, kept: Kept, suite: str) -> dict[str, Any]:
    """The row of a folder of records: command, revisions, times."""
    shas = sorted({sha[:10] or "unknown" for sha in kept.frame["git_sha"]})
    times = kept.folder / TIMES
    return {
        "records": results.place(kept.folder), "command": command_of(kept, suite),
        "revisions": ", ".join(shas),
        "uncommitted changes": "yes" if kept.frame["git_dirty"].any() else "no",
        "minutes of its stages": results.tried(times, stage_minutes, kept, suite),
        "CPU of an ablation": ", ".join(results.tried(times, cpus, kept.folder) or []) or None,
    }  # fmt: skip


def body(results: Results) -> Markup | None:
    """What was measured on what, at which revision, and how to make it again."""
    machines, revisions = [], []
    kinds = (
        ("run", results.runs),
        ("ablation", results.ablations),
        ("headline", results.full_size),
    )
    for suite, kept in ((suite, kept) for suite, of_kind in kinds for kept in of_kind):
        environment = kept.folder / "environment.json"
        if environment.exists():
            where = results.place(kept.folder)
            row = results.tried(environment, of_environment, where, environment)
            machines += [row] if row else []
        row = results.tried(kept.folder, of_records, results, kept, suite)
        revisions += [row] if row else []
    for bench in results.benchmarks:
        row = results.tried(bench.path, machine_row, results.place(bench.path), bench.about)
        machines += [row] if row else []
    parts = []
    if machines:
        frame = pd.DataFrame(machines)
        alike = frame.groupby([c for c in frame if c != "records"], sort=False)["records"]
        frame = alike.agg(", ".join).reset_index()[list(frame)]
        parts.append(table(frame, "Machines and versions"))
    if revisions:
        parts.append(table(pd.DataFrame(revisions), "Commands, revisions and times"))
        parts.append(paragraph(MINUTES))
    commands = pd.DataFrame(OTHERS.items(), columns=["part", "command"])
    parts += [paragraph("And the other parts:"), table(commands, "Commands")]
    return Markup("\n").join(parts)


SECTION = Section(80, "provenance", "Machines, revisions, commands", body)
