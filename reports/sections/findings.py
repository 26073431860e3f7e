"""Which findings of the paper hold at this scale."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pandas as pd
from markupsafe import Markup

from davae.analysis.findings import CONDITIONS, LEAST_SEEDS, OWN, findings_view, is_small
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
    """An ablation's findings with a verdict; see all_findings_of."""
    frame = all_findings_of(kept)
    return frame[frame["verdict"] != EXPLORATORY] if len(frame) else frame


def all_findings_of(kept: Kept) -> pd.DataFrame:
    """An ablation's findings, exploratory ones too; none where it has none, or where they are of
    before intervals had ends. Raises ValueError for what is no verdict, and for a file that is
    lost."""
    file = kept.folder / "findings.csv"
    if not file.exists():
        if "| verdict |" in (kept.folder / "table.md").read_text():
            raise ValueError("it is not there, and its claims are not counted")
        return pd.DataFrame()
    frame = pd.read_csv(file)
    if "low" not in frame:
        return pd.DataFrame()
    missing = sorted(set(OWN) - set(frame))
    unknown = sorted(map(str, set(frame["verdict"]) - {*VERDICTS, EXPLORATORY}))
    if missing or unknown:
        raise ValueError(f"it lacks {', '.join(missing)}" if missing else f"verdicts {unknown}")
    return frame.assign(ablation=kept.folder.name, preset=kept.preset, folder=str(kept.folder))


READING = (
    "The paper's ablations give FID and rFID: claims about detail and content are our reading. In "
    "a - b, a is what the claim praises or blames first and b what it is compared with."
)
SHOWN = ("claim", "verdict", "a - b", "margin", "seeds", "p", "metric", "networks", "published",
         "ablation")  # fmt: skip
EXPLORATORY, DISAGREE = "exploratory", "the networks disagree"
VERDICTS = ("holds", "does not hold", "no difference", "inconclusive")
KINDS = (*VERDICTS[:3], DISAGREE, VERDICTS[3])
"""Of claims over all networks that judge them, in the order of the page."""


def networks(verdicts: list[str]) -> str | None:
    """How many of the judging networks give the first one's verdict, where there are several."""
    same = sum(verdict == verdicts[0] for verdict in verdicts)
    return f"{same} of {len(verdicts)}" if len(verdicts) > 1 else None


def in_words(rows: pd.DataFrame) -> Markup:
    """The claims of each kind in a sentence."""
    items = []
    for kind in KINDS:
        of_kind = rows[rows["kind_of"] == kind]
        if of_kind.empty:
            continue
        said = "; ".join(map(one_claim, of_kind.to_dict("records")))
        items.append(Markup("<li><strong>{} ({}):</strong> {}.</li>").format(
            kind[0].upper() + kind[1:], len(of_kind), said
        ))  # fmt: skip
    return Markup('<ul class="claims">{}</ul>').format(Markup("").join(items))


def one_claim(row: dict[Hashable, Any]) -> str:
    """A claim behind its ablation, and who says what where the networks disagree."""
    who = f" ({row['verdict']} by {row['networks']})" if row["kind_of"] == DISAGREE else ""
    small = " (by less than its margin)" if is_small(row) else ""
    return f"{row['ablation']}: {row['claim']}{who or small}"


def shared(rows: pd.DataFrame) -> str:
    """How many rest on the runs and the metric of another claim."""
    again = int(rows.duplicated(["preset", "metric", "difference", "low", "high"]).sum())
    return f", {again} of them on the same runs and figures as another" if again else ""


def by_claim(found: pd.DataFrame) -> pd.DataFrame:
    """A row a claim of an ablation, as the first extractor has it; how many others agree, and of
    which of KINDS it is."""
    rows = []
    for _, part in found.groupby(["folder", "claim"], sort=False):
        verdicts = list(part["verdict"])
        kind = verdicts[0] if len(set(verdicts)) == 1 else DISAGREE
        rows.append(part.iloc[0].to_dict() | {"networks": networks(verdicts), "kind_of": kind})
    frame = pd.DataFrame(rows)
    order = frame["kind_of"].map(KINDS.index)
    return frame.iloc[order.argsort(kind="stable")]


def the_papers(claims: pd.DataFrame) -> pd.Series:
    """Which claims the paper makes."""
    return claims["published"].notna() & (claims["published"] != "")


def in_short(results: Results) -> list[str]:
    """A sentence on how many of the paper's claims hold; none where none is judged."""
    found = judged(results)
    claims = by_claim(found) if len(found) else found
    claims = claims[the_papers(claims)] if len(found) else found
    if claims.empty:
        return []
    counts = [(kind, int((claims["kind_of"] == kind).sum())) for kind in KINDS]
    said = ", ".join(f"{kind}: {count}" for kind, count in counts if count)
    return [
        f"Of {len(claims)} readings of the paper's claims that were judged at this scale: {said}. "
        "Which, is said under “What of the paper holds here”."
    ]


def body(results: Results) -> Markup:
    """How many hold, and all of them; claims that the paper makes first."""
    found = judged(results)
    if found.empty:
        return paragraph(NONE)
    claims = by_claim(found)
    parts = []
    published = the_papers(claims)
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
