"""An ablation's tables, findings and figures, from its records alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from davae.analysis.findings import (
    CONDITIONS,
    disagreements,
    findings_table,
    findings_view,
    judge_all,
    not_judged,
)
from davae.analysis.plots import drawn
from davae.analysis.ranks import agreement
from davae.analysis.stats import t_interval
from davae.analysis.sweep_plots import image_strips, level_figure, pareto_figure
from davae.analysis.tables import (
    WIDE,
    cell,
    column_titles,
    extractor_of,
    plus_minus,
    to_markdown,
    upright,
)
from davae.sweep.ablation import Ablation, Sidecars
from davae.sweep.arm import SAMPLES, SIDECARS, file_name
from davae.sweep.front import pareto_text, pareto_values, with_every_seed
from davae.sweep.sweep import Rows, Sweep
from davae.sweep.took import trained_in

TABLES, DRAWINGS = (".csv", ".tex"), (".svg", ".png", ".pdf")
OF_ONE_AUTOENCODER = (
    "The seeds of an arm share its autoencoder: figures without ± are of that one, and intervals "
    "conditional on it."
)


def summary_table(ablation: Ablation, frame: pd.DataFrame, arms: list[str]) -> pd.DataFrame:
    """An arm a row, in the order of `arms`: mean over seeds of each metric, with the 95% interval's
    half width."""
    columns = column_titles(frame, ablation.metrics)
    rows = []
    for arm in arms:
        part = frame[frame["arm"] == arm]
        if part.empty:
            continue
        row: dict[str, Any] = {
            "arm": arm,
            "level": part["level"].iloc[0],
            "seeds": part["seed"].nunique(),
        }
        extractors = extractor_of(part["protocol"])
        for (metric, extractor), title in columns.items():
            values = part.loc[(part["metric"] == metric) & (extractors == extractor), "value"]
            if values.empty:
                continue
            interval = t_interval(values.to_numpy())
            row[title] = interval.mean
            if interval.n > 1 and not of_one_autoencoder(ablation, values):
                row[f"{title} ±"] = interval.high - interval.mean
        rows.append(row)
    return pd.DataFrame(rows)


def to_read(table: pd.DataFrame) -> pd.DataFrame:
    """A summary table with half widths beside their means, without levels that are the arms'
    names."""
    shown = pd.DataFrame({"arm": table["arm"], "level": table["level"], "seeds": table["seeds"]})
    if (table["level"] == table["arm"]).all():
        shown = shown.drop(columns="level")
    for name in table.columns[3:]:
        half = table.get(f"{name} ±")
        if half is not None:
            shown[name] = [plus_minus(*pair) for pair in zip(table[name], half, strict=True)]
        elif not name.endswith(" ±"):
            shown[name] = table[name]
    return shown


def of_one_autoencoder(ablation: Ablation, values: pd.Series) -> bool:
    """Whether an arm's values are of the autoencoder that its seeds share."""
    return ablation.trains == "davae" and values.nunique() == 1


def report(sweep: Sweep) -> None:
    """The tables and figures of a sweep's records, in place of those of before. Raises ValueError
    where no arm has values."""
    before = {path: written_at(path) for path in files_of(sweep.folder, DRAWINGS)}
    draw(sweep, write_tables(sweep))
    for path, written in before.items():
        if path.exists() and written_at(path) == written:
            path.unlink(missing_ok=True)  # nothing draws it any more


def write_tables(sweep: Sweep) -> pd.DataFrame:
    """table.csv, table.tex, table.md and findings.csv; the rows that they are of."""
    ablation, folder, rows = sweep.load(), sweep.folder, sweep.rows()
    frame = rows.measured
    if frame.empty:
        for path in files_of(folder, (*TABLES, *DRAWINGS)):
            path.unlink(missing_ok=True)  # another process may write here, too
        (folder / "table.md").write_text(f"**{ablation.question}**\n\n{not_shown(rows)}")
        if len(rows.failed):
            raise ValueError(f"every arm failed; the first error: {rows.failed['error'].iloc[0]}")
        raise ValueError(f"no arm has values as it is declared now ({folder / 'table.md'})")
    arms = [arm.name for arm in sweep.arms()]
    frame = frame.sort_values("arm", key=lambda names: names.map(arms.index), kind="stable")
    table = summary_table(ablation, frame, arms)
    table.to_csv(folder / "table.csv", index=False)
    short = to_read(table)
    short.to_latex(folder / "table.tex", index=False, float_format="%.4g", escape=True)
    text = f"**{ablation.question}**\n\n" + to_markdown(
        short if len(ablation.metrics) <= WIDE else upright(short)
    )
    if ablation.trains == "davae":
        text += f"\n{OF_ONE_AUTOENCODER}\n"
    text += findings_text(ablation, frame, folder, sweep.base.data.name, arms)
    text += "".join(f"\n{sentence}\n" for sentence in agreement(frame))
    text += pareto_text(ablation, frame)
    if ablation.write is not None:
        text += ablation.write(frame, folder)
    text += unmeasured(ablation, frame)
    text += precisions(folder, set(frame["key"])) + not_shown(rows)
    (folder / "table.md").write_text(text)
    return frame


def unmeasured(ablation: Ablation, frame: pd.DataFrame) -> str:
    """A sentence on metrics that no arm has, as a fact of a photograph or a name that is wrong."""
    absent = [name for name in ablation.metrics if not (frame["metric"] == name).any()]
    return f"\nNot measured in any arm: {', '.join(absent)}.\n" if absent else ""


def not_shown(rows: Rows) -> str:
    """What the tables of a sweep lack, and why."""
    text = ""
    for _, row in rows.failed.iterrows():
        text += f"\nFailed: {row['arm']}, seed {cell(row['seed'])}: {row['error']}\n"
    if rows.unrun:
        text += f"\nNot run: {'; '.join(rows.unrun)}.\n"
    if rows.unasked:
        text += f"\nNot shown, of seeds that were not asked for: {'; '.join(rows.unasked)}.\n"
    if rows.left:
        text += f"\nNot shown, of other settings or versions: {'; '.join(rows.left)}.\n"
    return text


def files_of(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The files there that end so."""
    return [path for path in folder.iterdir() if path.suffix in suffixes]


def written_at(path: Path) -> int:
    """When a file was last written, in nanoseconds."""
    return path.stat().st_mtime_ns


def precisions(folder: Path, keys: set[str]) -> str:
    """In which precision the networks of these arms were trained, where that was kept."""
    found = trained_in(folder, keys)
    said = "; ".join(f"{stage}: {' and '.join(types)}" for stage, types in found.items())
    return f"\nPrecision of the products in training: {said}.\n" if said else ""


def findings_text(
    ablation: Ablation, frame: pd.DataFrame, folder: Path, data: str, arms: list[str]
) -> str:
    """The claims' verdicts on a data set as Markdown, and findings.csv; why a claim has none.

    arms: the declared ones."""
    low = ablation.collapsed(frame)
    undeclared = ablation.undeclared(arms)
    claims = [c for c in ablation.claims if c.data in ("", data) and c not in undeclared]
    judged = judge_all([c for c in claims if not {c.a, c.b} & low.keys()], frame)
    text = "".join(f"\nDetail collapsed: {arm} ({why}).\n" for arm, why in low.items())
    (folder / "findings.csv").unlink(missing_ok=True)
    if judged.findings:
        table = findings_table(judged.findings, data)
        table.to_csv(folder / "findings.csv", index=False)
        text += f"\n{CONDITIONS}\n\n{to_markdown(findings_view(table))}"
    left = {"for an arm's detail collapsed": [c for c in claims if {c.a, c.b} & low.keys()]}
    for claim in ablation.claims:
        if claim in undeclared:
            left.setdefault(f"for no arm declared here is called {undeclared[claim]}", []).append(
                claim
            )
        elif claim not in claims:
            left.setdefault(f"for they are about {claim.data}", []).append(claim)
    sentences = [*disagreements(judged.findings), *judged.left]
    sentences += [not_judged(why, [c.text for c in of_it]) for why, of_it in left.items() if of_it]
    return text + "".join(f"\n{sentence}\n" for sentence in sentences)


def draw(sweep: Sweep, frame: pd.DataFrame) -> None:
    """The figure of levels, samples, the front, and the ablation's own figures."""
    ablation, arms, folder = sweep.load(), sweep.arms(), sweep.folder
    there = set(frame["arm"])
    declared = list(dict.fromkeys(arm.level for arm in arms if arm.name in there))
    plotted = {metric: ablation.metrics[metric] for metric in ablation.plotted or ablation.metrics}
    for name, part in figures_of(ablation, frame).items():
        shown = [level for level in declared if (part["level"] == level).any()]
        if name and len(shown) == 1:
            continue  # of this series only what both share was run yet
        level_figure(
            part, column_titles(part, plotted), factor=arms[0].factor, levels=shown,
            title=f"{ablation.question} {name}",
            paths=drawn(folder, f"figure{slug(name)}"),
        )  # fmt: skip
    if ablation.pareto and set(ablation.pareto) <= set(frame["metric"]):
        titles = [ablation.metrics[metric] for metric in ablation.pareto]
        values = pareto_values(ablation, frame)
        if values:
            better = frame.drop_duplicates("metric").set_index("metric")["higher_is_better"]
            turned = [bool(better[metric]) for metric in ablation.pareto]
            seeds = {arm: rows.to_numpy() for arm, rows in values.items()}
            whole = list(with_every_seed(values))
            pareto_figure(drawn(folder, "pareto"), seeds, titles, turned, whole)
    strips = sample_strips(sweep, frame)
    if strips:
        image_strips(folder / "samples.png", strips)
    files = sidecar_files(frame, ablation, folder / SIDECARS)
    if ablation.draw is not None and files:
        ablation.draw(files, folder)


def figures_of(ablation: Ablation, frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each figure: all, or those of one series and the reference, by its name."""
    if not ablation.apart:
        return {"": frame}
    reference = frame["reference"].astype(bool)
    return {name: frame[reference | (frame["series"] == name)] for name in frame["series"].unique()}


def slug(name: str) -> str:
    """The end of a file's name for a series."""
    return f"_{file_name(name)}" if name else ""


def sample_strips(sweep: Sweep, frame: pd.DataFrame) -> dict[str, Path]:
    """The pictures of the arms' samples at the first seed, by arm as declared."""
    if "samples" not in frame:
        return {}
    first = frame[frame["seed"] == sweep.seeds[0]].dropna(subset=["samples"])
    names = dict(zip(first["arm"], first["samples"], strict=True))
    paths = {
        arm.name: sweep.folder / SAMPLES / names[arm.name]
        for arm in sweep.arms()
        if arm.name in names
    }
    return {name: path for name, path in paths.items() if path.exists()}


def sidecar_files(frame: pd.DataFrame, ablation: Ablation, folder: Path) -> Sidecars:
    """The sidecars that the records name."""
    files: Sidecars = {}
    names = [f"sidecar_{role}" for role in ablation.sidecars]
    if not set(names) <= set(frame):
        return files  # recorded before sidecars were asked for
    whole = frame.dropna(subset=names)
    for _, row in whole.drop_duplicates(["arm", "seed"], keep="last").iterrows():
        files[row["arm"], int(row["seed"])] = {
            role: folder / row[f"sidecar_{role}"] for role in ablation.sidecars
        }
    return files
