"""The history of the suite, where one is kept."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from markupsafe import Markup

from davae.analysis.bench_plots import history_svg
from davae.track.history import CONSECUTIVE, Step, read_history, steps
from davae.track.summary import steps_frame
from reports.html import Svg, figure, paragraph, table
from reports.results import Results
from reports.section import Section

RATES = {
    "noise.csv": "What davae track paired says, in 1,000 comparisons simulated on measured noise",
    "tracker.csv": "What it said of a head that is a tenth slower, and of an identical one",
}
LEAST = 0.05
"""Steps below this share are not shown."""


WHAT = (
    "Cost is a case's time in units of the machine's own matrix product beside it. It still moves "
    f"between hours and machines: a step is one that {CONSECUTIVE} revisions on both sides agree "
    "on, and whether one revision is slower than another is for davae track paired, which lets "
    "both take turns; the tables above say how often that errs."
)


def marks(found: list[Step]) -> list[tuple[str, str]]:
    """Case and revision of lasting steps."""
    return [(step.case, step.revision) for step in found]


def of_folder(folder: Path) -> list[Markup]:
    """One history."""
    history = read_history(folder)
    found = steps(history, LEAST)
    alt = (
        f"Cost of {history['case'].nunique()} cases over {history['git_sha'].nunique()} revisions, "
        f"{len(found)} lasting steps."
    )
    if history["case"].value_counts().max() < 2:
        return [paragraph(alt)]
    drawn = figure(Svg(history_svg(history, marks(found)), alt, alt))
    return [
        paragraph(WHAT),
        drawn,
        *([table(steps_frame(found), "Lasting steps")] if found else []),
    ]


def whole_table(path: Path) -> pd.DataFrame:
    """A CSV file; raises ValueError for one with gaps, as one that was cut off has."""
    frame = pd.read_csv(path)
    if frame.isna().any(axis=None):
        raise ValueError("it has rows with gaps")
    return frame


def rates(results: Results) -> list[Markup]:
    """How often the tracker errs: simulated on measured noise, and for real."""
    parts = []
    for name, title in RATES.items():
        for path in sorted(results.top.rglob(name)):
            frame = results.tried(path, whole_table, path)
            parts += [table(frame, title)] if frame is not None else []
    return parts


def histories(results: Results) -> list[Path]:
    """The folders of benchmark files, a revision each."""
    return sorted({path.parent for path in results.top.rglob("history/*.json")})


def body(results: Results) -> Markup | None:
    """Costs over revisions, lasting steps, and how often `davae track paired` errs."""
    parts = rates(results)
    folders = histories(results)
    for folder in folders:
        for name in (*RATES, "counters.json"):
            if not (folder.parent / name).exists():
                results.problem(folder.parent / name, "is not there, beside a history")
    for folder in folders:
        one = results.tried(folder, of_folder, folder)
        parts += one or []
    return Markup("\n").join(parts) if parts else None


SECTION = Section(70, "history", "Regression history", body)
