"""Two folders of results side by side: two machines, or two revisions."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from markupsafe import Markup

from davae.core import records
from reports.build import whole
from reports.html import paragraph, table
from reports.results import Kept, Results, read_results
from reports.sections.throughput import cases

IDENTITY = ["ablation", "arm", "metric", "protocol", "preset", "base_seed"]
"""What two figures have in common that may stand in one row."""


def compared(a: Path, b: Path) -> str:
    """The page: figures of one protocol in one row, and those that only one side has apart."""
    sides = read_results(a), read_results(b)
    names = (a.name, b.name) if a.name != b.name else (f"{a} (A)", f"{b} (B)")
    parts = []
    for title, kinds in (("Whole runs", "runs"), ("Ablations", "ablations")):
        frames = [values(getattr(side, kinds)) for side in sides]
        if any(len(frame) for frame in frames):
            parts.append({"name": kinds, "title": title, "body": beside(frames, names, title)})
    speeds = [throughput(side) for side in sides]
    if any(len(frame) for frame in speeds):
        parts.append(
            {"name": "throughput", "title": "Throughput", "body": side_by_side(speeds, names)}
        )
    problems = [
        f"{name}: {text}" for name, s in zip(names, sides, strict=True) for text in s.problems
    ]
    lead = (
        f"{names[0]} beside {names[1]}. Only figures of one protocol stand in one row; times are "
        "of the machines that the records name."
    )
    return whole(lead, parts, problems)


def values(kept: list[Kept]) -> pd.DataFrame:
    """Mean over seeds of every measured figure, by IDENTITY."""
    frames = [records.latest(one.frame[one.frame["status"] == "ok"]) for one in kept]
    if not frames:
        return pd.DataFrame(columns=[*IDENTITY, "value", "seeds"])
    frame = pd.concat(frames, ignore_index=True)
    frame["ablation"] = frame["ablation"].fillna("") if "ablation" in frame else ""
    frame = frame[~frame["arm"].str.startswith("stage:")]
    groups = frame.groupby(IDENTITY, sort=False, dropna=False)
    return groups.agg(value=("value", "mean"), seeds=("seed", "nunique")).reset_index()


def beside(frames: list[pd.DataFrame], names: tuple[str, str], title: str) -> Markup:
    """Rows that both have with their difference, and how many only one has."""
    both = frames[0].merge(
        frames[1], on=IDENTITY, how="outer", suffixes=("_a", "_b"), indicator=True
    )
    shared = both[both["_merge"] == "both"]
    shown = pd.DataFrame(
        {
            **{name: shared[name] for name in IDENTITY},
            names[0]: shared["value_a"], f"{names[0]}, seeds": shared["seeds_a"],
            names[1]: shared["value_b"], f"{names[1]}, seeds": shared["seeds_b"],
            "difference": shared["value_b"] - shared["value_a"],
        }
    )  # fmt: skip
    parts = [table(shown, f"{title}: figures of one protocol")]
    for side, name in (("left_only", names[0]), ("right_only", names[1])):
        alone = both[both["_merge"] == side]
        if len(alone):
            parts.append(
                paragraph(f"{len(alone)} figures only {name} has, or under another protocol:")
            )
            column = "value_a" if side == "left_only" else "value_b"
            parts.append(table(alone[[*IDENTITY, column]], f"{title}: only {name}"))
    return Markup("\n").join(parts)


def throughput(results: Results) -> pd.DataFrame:
    """Case and img/s of every benchmark file."""
    frames = [
        cases(bench).reindex(columns=["case", "img/s"]).drop_duplicates("case")
        for bench in results.benchmarks
    ]
    return (
        pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["case", "img/s"])
    )


def side_by_side(frames: list[pd.DataFrame], names: tuple[str, str]) -> Markup:
    """img/s of the cases of both, and the ratio."""
    both = frames[0].merge(frames[1], on="case", how="outer", suffixes=("_a", "_b"))
    shown = pd.DataFrame(
        {
            "case": both["case"], f"{names[0]}, img/s": both["img/s_a"],
            f"{names[1]}, img/s": both["img/s_b"], "ratio": both["img/s_b"] / both["img/s_a"],
        }
    )  # fmt: skip
    note = "Times of two files were not taken in pairs: davae track paired is the judge of speed."
    return Markup("\n").join([table(shown, "Images a second"), paragraph(note)])


def write_compared(a: Path, b: Path, out: Path) -> Path:
    """Write OUT/compare.html; its path."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "compare.html"
    path.write_text(compared(a, b))
    return path
