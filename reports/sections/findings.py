"""Which findings of the paper hold at this scale."""

from __future__ import annotations

import pandas as pd
from markupsafe import Markup

from davae.analysis.findings import CONDITIONS, LEAST_SEEDS, findings_view
from reports.html import paragraph, table
from reports.results import Kept, Results
from reports.section import Section

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
    """An ablation's findings with a verdict; none where they are of before intervals had ends."""
    file = kept.folder / "findings.csv"
    frame = pd.read_csv(file) if file.exists() else pd.DataFrame()
    if "low" not in frame:
        return pd.DataFrame()
    frame = frame.assign(ablation=kept.folder.name, preset=kept.preset)
    return frame[frame["verdict"] != "exploratory"]


SHOWN = ("claim", "verdict", "a - b", "margin", "seeds", "p", "metric", "other extractors agree",
         "published", "ablation")  # fmt: skip
VERDICTS = ("holds", "does not hold", "no difference", "inconclusive")


def by_claim(found: pd.DataFrame) -> pd.DataFrame:
    """A row a claim of an ablation, as the first extractor has it; how many others agree."""
    rows = []
    for _, part in found.groupby(["ablation", "preset", "claim"], sort=False):
        verdicts = list(part["verdict"])
        same = sum(verdict == verdicts[0] for verdict in verdicts[1:])
        other = f"{same} of {len(verdicts) - 1}" if len(verdicts) > 1 else None
        rows.append(part.iloc[0].to_dict() | {"other extractors agree": other})
    frame = pd.DataFrame(rows)
    order = frame["verdict"].map(VERDICTS.index)
    return frame.iloc[order.argsort(kind="stable")]


def body(results: Results) -> Markup:
    """How many hold, and all of them; claims that the paper makes first."""
    found = judged(results)
    if found.empty:
        return paragraph(NONE)
    claims = by_claim(found)
    parts = []
    published = claims["published"].notna() & (claims["published"] != "")
    for rows, title in ((claims[published], "the paper's"), (claims[~published], "our own")):
        if rows.empty:
            continue
        counts = rows["verdict"].value_counts()
        text = "; ".join(f"{counts[name]} {name}" for name in VERDICTS if name in counts)
        parts.append(paragraph(f"Judged claims, {title}: {len(rows)} ({text})."))
        shown = findings_view(rows.assign(ablation=rows["ablation"] + " at " + rows["preset"]))
        parts.append(table(shown[list(SHOWN)], f"Claims, {title}, and their verdicts"))
    return Markup("\n").join([*parts, paragraph(CONDITIONS)])


SECTION = Section(20, "findings", "What of the paper holds here", body)
