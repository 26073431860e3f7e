"""Which findings of the paper hold at this scale."""

from __future__ import annotations

import pandas as pd
from markupsafe import Markup

from davae.analysis.findings import CONDITIONS, LEAST_SEEDS
from reports.html import paragraph, table
from reports.results import Kept, Results
from reports.section import Section

SHOWN = ("ablation", "preset", "claim", "verdict", "seeds", "difference", "95% interval", "scale",
         "margin", "detectable", "published", "extractor", "kind")  # fmt: skip
NONE = (
    f"No claim is decided yet: none has been judged with {LEAST_SEEDS} seeds. What single runs "
    "show is above; tables of ablations below say what was seen with fewer."
)


def judged(results: Results) -> pd.DataFrame:
    """The findings of every ablation with a verdict: of five seeds or more."""
    frames = []
    for kept in results.ablations:
        frame = results.tried(kept.folder / "findings.csv", findings_of, kept)
        frames += [frame] if frame is not None and len(frame) else []
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def findings_of(kept: Kept) -> pd.DataFrame:
    """An ablation's findings with a verdict; none where they are of before verdicts had a scale."""
    file = kept.folder / "findings.csv"
    frame = pd.read_csv(file) if file.exists() else pd.DataFrame()
    if "scale" not in frame:
        return pd.DataFrame()
    frame = frame.assign(ablation=kept.folder.name, preset=kept.preset)
    return frame.loc[frame["verdict"] != "exploratory", list(SHOWN)]


def body(results: Results) -> Markup:
    """How many hold, and all of them; claims that the paper makes first."""
    found = judged(results)
    if found.empty:
        return paragraph(NONE)
    parts = []
    published = found["published"].notna() & (found["published"] != "")
    for rows, title in ((found[published], "the paper's"), (found[~published], "our own")):
        if rows.empty:
            continue
        counts = rows.groupby("verdict")["claim"].nunique()
        text = "; ".join(f"{verdict}: {count}" for verdict, count in counts.items())
        parts.append(paragraph(f"Of {rows['claim'].nunique()} claims, {title}: {text}."))
        parts.append(table(rows, f"Claims, {title}, and their computed verdicts"))
    return Markup("\n").join([*parts, paragraph(CONDITIONS)])


SECTION = Section(20, "findings", "What of the paper holds here", body)
