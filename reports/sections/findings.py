"""Which findings of the paper hold at this scale."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pandas as pd
from markupsafe import Markup

from davae.analysis.findings import CONDITIONS, LEAST_SEEDS, findings_view
from reports.html import folded, paragraph, table
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


READING = (
    "The paper's ablations give FID and rFID: claims about detail and content are our reading. In "
    "a - b, a is what the claim praises or blames first and b what it is compared with."
)
SHOWN = ("claim", "verdict", "a - b", "margin", "seeds", "p", "metric", "networks", "published",
         "ablation")  # fmt: skip
VERDICTS = ("holds", "does not hold", "no difference", "inconclusive")


def networks(verdicts: list[str]) -> str | None:
    """How many of the judging networks give the first one's verdict, where there are several."""
    same = sum(verdict == verdicts[0] for verdict in verdicts)
    return f"{same} of {len(verdicts)}" if len(verdicts) > 1 else None


def in_words(rows: pd.DataFrame) -> Markup:
    """The claims of each verdict in a sentence."""
    items = []
    for verdict in VERDICTS:
        of_verdict = rows[rows["verdict"] == verdict]
        if of_verdict.empty:
            continue
        said = "; ".join(map(one_claim, of_verdict.to_dict("records")))
        items.append(Markup("<li><strong>{} ({}):</strong> {}.</li>").format(
            verdict[0].upper() + verdict[1:], len(of_verdict), said
        ))  # fmt: skip
    return Markup('<ul class="claims">{}</ul>').format(Markup("").join(items))


def one_claim(row: dict[Hashable, Any]) -> str:
    """A claim, with its ablation, and the networks that give the verdict where not all do."""
    networks = row["networks"] if isinstance(row["networks"], str) else ""
    few = "" if not networks or networks[0] == networks[-1] else f", by {networks} networks"
    return f"{row['claim']} ({row['ablation']}{few})"


def shared(rows: pd.DataFrame) -> str:
    """How many rest on the runs and the metric of another claim."""
    again = int(rows.duplicated(["preset", "metric", "difference", "low", "high"]).sum())
    return f", {again} of them on the same runs and figures as another" if again else ""


def by_claim(found: pd.DataFrame) -> pd.DataFrame:
    """A row a claim of an ablation, as the first extractor has it; how many others agree."""
    rows = []
    for _, part in found.groupby(["ablation", "preset", "claim"], sort=False):
        verdicts = list(part["verdict"])
        rows.append(part.iloc[0].to_dict() | {"networks": networks(verdicts)})
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
        parts.append(paragraph(f"Judged claims, {title}: {len(rows)}{shared(rows)}."))
        parts.append(in_words(rows))
        shown = findings_view(rows.assign(ablation=rows["ablation"] + " at " + rows["preset"]))
        full = table(shown[list(SHOWN)], f"Claims, {title}, and their verdicts")
        parts.append(folded(f"The {len(rows)} claims with figures and intervals", full))
    return Markup("\n").join([*parts, paragraph(READING), paragraph(CONDITIONS)])


SECTION = Section(20, "findings", "What of the paper holds here", body)
