"""What a comparison found, as Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from davae.analysis.tables import to_markdown
from davae.track.compare import FileComparison
from davae.track.history import Step
from davae.track.paired import Comparison
from davae.track.verdict import CONFIDENCE, Verdict

SHOWN = 40
"""Differences of counters that a pull request's summary lists."""


def paired_table(found: Sequence[Comparison], base: str, head: str, verdict: Verdict) -> str:
    """A row a case: verdict, change in percent with its bounds, margin, pairs, noise."""
    rows = []
    for comparison in found:
        row = {
            "case": comparison.case, "verdict": str(comparison.verdict), "worse by %": "",
            "bounds %": "", "margin %": f"{100 * comparison.limit.margin:g}", "pairs": "",
            "base against itself %": "", "reason": comparison.reason,
        }  # fmt: skip
        if comparison.change is not None:
            middle, low, high = comparison.change.percent
            row |= {
                "worse by %": f"{middle:+.1f}", "bounds %": f"{low:+.1f} … {high:+.1f}",
                "pairs": str(comparison.change.pairs),
                "base against itself %": f"{100 * comparison.control:.1f}",
            }  # fmt: skip
        rows.append(row)
    one_sided = 50 + 50 * CONFIDENCE
    note = (
        f"Time of {head} over {base}, in pairs of fresh processes; each bound is one-sided at "
        f"{one_sided:.0f}%. A regression has shown in two sets of pairs."
    )
    return f"**{verdict}**\n\n{to_markdown(pd.DataFrame(rows))}\n{note}"


def file_table(found: Sequence[FileComparison], unlike: Sequence[str], verdict: Verdict) -> str:
    """A row a case of two files, and why times were not compared, if they were not."""
    rows = []
    for comparison in found:
        row = {"case": comparison.case, "verdict": str(comparison.verdict)}
        row |= {"slower by %": "", "bounds %": ""}
        if comparison.change is not None:
            middle, low, high = comparison.change.percent
            row |= {"slower by %": f"{middle:+.1f}", "bounds %": f"{low:+.1f} … {high:+.1f}"}
        rows.append({**row, "reason": comparison.reason})
    note = "The files were not measured in pairs: `davae track paired` is the judge of speed."
    if unlike:
        note = f"Times are not compared: {'; '.join(unlike)}."
    return f"**{verdict}**\n\n{to_markdown(pd.DataFrame(rows))}\n{note}"


def steps_table(found: Sequence[Step]) -> str:
    """A row a step, or that there is none."""
    if not found:
        return "no lasting step"
    return to_markdown(steps_frame(found))


def steps_frame(found: Sequence[Step]) -> pd.DataFrame:
    """A row a step."""
    rows = [
        {
            "case": s.case,
            "since": s.revision[:12],
            "slower by %": f"{100 * (s.factor - 1):+.1f}",
            "points": s.ago,
            "lasts": "yes" if s.lasts else "no",
        }
        for s in found
    ]
    return pd.DataFrame(rows)


def counter_summary(verdict: Verdict, reasons: Sequence[str], shown: int | None = None) -> str:
    """The verdict and the differences, all of them or the first ones."""
    lines = [f"- {reason}" for reason in reasons[:shown]]
    if len(reasons) > len(lines):
        lines.append(f"- and {len(reasons) - len(lines)} more")
    if verdict == Verdict.REGRESSION:
        lines.append(
            "\nThe work has changed. If that is meant: `davae track counters --write`, and "
            "commit the file with the reason."
        )
    return "\n".join([f"**{verdict}**", "", *lines])
