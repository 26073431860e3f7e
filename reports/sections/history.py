"""The history of the suite, where one is kept."""

from __future__ import annotations

from markupsafe import Markup

from davae.analysis.plots import history_svg
from davae.track.history import read_history, steps
from davae.track.summary import steps_frame
from reports.html import Svg, figure, paragraph, table
from reports.results import Results
from reports.section import Section

LEAST = 0.05
"""Steps below this share are not shown."""


def body(results: Results) -> Markup | None:
    """Costs over revisions, and lasting steps."""
    parts = []
    for folder in sorted({path.parent for path in results.top.rglob("history/*.json")}):
        history = read_history(folder)
        found = steps(history, LEAST)
        alt = (
            f"Cost of {history['case'].nunique()} cases over {history['git_sha'].nunique()} "
            f"revisions, {len(found)} lasting steps."
        )
        parts.append(
            figure(Svg(history_svg(history, [(s.case, s.revision) for s in found]), alt, alt))
        )
        parts.append(table(steps_frame(found), "Lasting steps") if found else paragraph(alt))
    return Markup("\n").join(parts) if parts else None


SECTION = Section(70, "history", "Regression history", body)
