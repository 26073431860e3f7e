"""Which findings of the paper hold at this scale."""

from __future__ import annotations

import pandas as pd
from markupsafe import Markup

from davae.analysis.findings import CONDITIONS
from reports.html import paragraph, table
from reports.results import Results
from reports.section import Section

SHOWN = ("ablation", "preset", "claim", "verdict", "seeds", "difference", "95% interval", "scale",
         "margin", "detectable", "published", "extractor", "kind")  # fmt: skip


def collected(results: Results) -> pd.DataFrame:
    """The findings of every ablation that is not of the smallest scale."""
    frames = []
    for kept in results.ablations:
        file = kept.folder / "findings.csv"
        if file.exists():
            frame = pd.read_csv(file)
            if "scale" in frame:  # those of before this table are in the ablation's own part
                frames.append(frame.assign(ablation=kept.folder.name, preset=kept.preset))
    if not frames:
        return pd.DataFrame()
    return pd.concat(frames, ignore_index=True)[list(SHOWN)]


def body(results: Results) -> Markup | None:
    """How many hold, and all of them."""
    found = collected(results)
    if found.empty:
        return None
    counts = found["verdict"].value_counts()
    text = "; ".join(f"{verdict}: {count}" for verdict, count in counts.items())
    return Markup("\n").join(
        [paragraph(f"Of {len(found)} claims: {text}."), paragraph(CONDITIONS),
         table(found, "Claims, what is published, and the computed verdict")]
    )  # fmt: skip


SECTION = Section(20, "findings", "What of the paper holds here", body)
