"""Machines, versions, revisions, and the commands that make it all again."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
from markupsafe import Markup

from reports.html import paragraph, table
from reports.results import Results
from reports.section import Section

COMMANDS = {
    "runs": "davae run {preset} --seed N",
    "ablations": "python -m ablations {name} --preset {preset} --seeds ...",
    "benchmarks": "make bench",
    "work counters": "davae track counters --write",
    "this page": "python -m reports",
}


def machine_row(where: str, about: dict[str, Any]) -> dict[str, Any]:
    """A row of the table of machines."""
    machine = about["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return {
        "records": where, "CPU": machine["cpu"], "cores": machine["cores"],
        "threads": machine["threads"], "memory, GiB": machine["memory_gib"],
        "GPUs": ", ".join(machine["gpus"]) or "none", "versions": versions,
    }  # fmt: skip


def body(results: Results) -> Markup | None:
    """What was measured on what, at which revision, and how to make it again."""
    machines, revisions = [], []
    for kept in (*results.runs, *results.ablations):
        where = str(kept.folder.relative_to(results.top))
        environment = kept.folder / "environment.json"
        if environment.exists():
            machines.append(machine_row(where, json.loads(environment.read_text())))
        shas = sorted({str(sha)[:10] or "unknown" for sha in kept.frame["git_sha"]})
        seconds = kept.frame.loc[kept.frame["metric"] == "seconds", "value"].sum()
        revisions.append(
            {"records": where, "revisions": ", ".join(shas),
             "uncommitted changes": "yes" if kept.frame["git_dirty"].any() else "no",
             "minutes of all stages": seconds / 60 if seconds else None}
        )  # fmt: skip
    for bench in results.benchmarks:
        machines.append(machine_row(str(bench.path.relative_to(results.top)), bench.about))
    parts = []
    if machines:
        parts.append(table(pd.DataFrame(machines), "Machines and versions"))
    if revisions:
        parts.append(table(pd.DataFrame(revisions), "Revisions and times"))
    commands = pd.DataFrame(COMMANDS.items(), columns=["part", "command"])
    parts += [paragraph("What makes each part again:"), table(commands, "Commands")]
    return Markup("\n").join(parts)


SECTION = Section(80, "provenance", "Machines, revisions, commands", body)
