"""Two folders of results side by side: two machines, or two revisions."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from markupsafe import Markup

from davae.core import records
from reports.build import folder_of, whole
from reports.html import paragraph, table
from reports.results import Bench, Kept, Results, read_results
from reports.sections.throughput import cases

IDENTITY = ["place", "ablation", "arm", "metric", "protocol", "preset", "base_seed"]
"""What two figures have in common that may stand in one row; place: the folder above the
preset's."""
KINDS = {"runs": "Whole runs", "ablations": "Ablations", "full_size": "Full size"}


def compared(a: Path, b: Path) -> str:
    """The page: figures of one protocol in one row, and those that only one side has apart."""
    sides = read_results(a), read_results(b)
    first, second = (side.top.name for side in sides)
    names = (first, second) if first != second else (f"{a} (A)", f"{b} (B)")
    parts = []
    for kind, title in KINDS.items():
        frames = matched([values(side, getattr(side, kind)) for side in sides])
        if any(len(frame) for frame in frames):
            parts.append({"name": kind, "title": title, "body": beside(frames, names, title)})
    speeds = matched([throughput(side) for side in sides])
    if any(len(frame) for frame in speeds):
        parts.append(
            {"name": "throughput", "title": "Throughput", "body": side_by_side(speeds, names)}
        )
    problems = [
        f"{name}: {text}" for name, s in zip(names, sides, strict=True) for text in s.problems
    ]
    lead = (
        f"{names[0]} beside {names[1]}. Only figures of one protocol stand in one row, and only "
        "those of one place in both folders where a folder holds several machines."
    )
    return whole(lead, parts, problems)


def matched(frames: list[pd.DataFrame]) -> list[pd.DataFrame]:
    """The frames with their places; where each side has one alone, without, for then these are what
    is compared."""
    if all(frame["place"].nunique() <= 1 for frame in frames):
        return [frame.assign(place="") for frame in frames]
    return frames


def values(results: Results, kept: list[Kept]) -> pd.DataFrame:
    """Mean over seeds of every measured figure, by IDENTITY."""
    if not kept:
        return pd.DataFrame(columns=[*IDENTITY, "value", "seeds"])
    frames = [records.latest(one.frame).assign(place=results.place(one.top)) for one in kept]
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
    difference = shared["value_b"] - shared["value_a"]
    columns = [*(shared[name] for name in IDENTITY), shared["value_a"], shared["seeds_a"],
               shared["value_b"], shared["seeds_b"], difference]  # fmt: skip
    titles = [*IDENTITY, names[0], f"{names[0]}, seeds", names[1], f"{names[1]}, seeds",
              "difference"]  # fmt: skip
    shown = pd.concat(columns, axis=1).set_axis(titles, axis=1)
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


WHERE = ["place", "machine"]


def throughput(results: Results) -> pd.DataFrame:
    """Place, machine, case and img/s of every benchmark file."""
    frames = [of_bench(results, bench) for bench in results.benchmarks]
    return pd.concat(frames) if frames else pd.DataFrame(columns=["case", "img/s", *WHERE])


def of_bench(results: Results, bench: Bench) -> pd.DataFrame:
    """The cases of a file, with its folder and its machine."""
    machine = bench.about["machine"]
    frame = cases(bench).reindex(columns=["case", "img/s"]).drop_duplicates("case")
    where = results.place(bench.path.parent)
    return frame.assign(place=where, machine=", ".join(machine["gpus"]) or machine["cpu"])


def side_by_side(frames: list[pd.DataFrame], names: tuple[str, str]) -> Markup:
    """img/s of the cases of both, each with its machine, and the ratio."""
    both = frames[0].merge(frames[1], on=["place", "case"], how="outer", suffixes=("_a", "_b"))
    columns = [both["place"], both["case"], both["machine_a"], both["img/s_a"],
               both["machine_b"], both["img/s_b"], both["img/s_b"] / both["img/s_a"]]  # fmt: skip
    titles = ["place", "case", f"{names[0]}, machine", f"{names[0]}, img/s",
              f"{names[1]}, machine", f"{names[1]}, img/s", "ratio"]  # fmt: skip
    shown = pd.concat(columns, axis=1).set_axis(titles, axis=1)
    note = "Times of two files were not taken in pairs: davae track paired is the judge of speed."
    return Markup("\n").join([table(shown, "Images a second"), paragraph(note)])


def write_compared(a: Path, b: Path, out: Path) -> Path:
    """Write OUT/compare.html; its path."""
    path = folder_of(out) / "compare.html"
    path.write_text(compared(a, b))
    return path
