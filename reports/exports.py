"""The tables and figures of the results as files: beside the page, and for a paper."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from davae.analysis.bench_plots import draw_history, draw_roofline
from davae.analysis.findings import OWN, findings_view
from davae.analysis.plots import save
from davae.sweep.arm import file_name
from davae.track.history import read_history, steps
from reports.results import Bench, Kept, Results
from reports.sections.full_size import full_size_table
from reports.sections.headline import headline_table, of_headline, quality
from reports.sections.history import LEAST, histories, marks
from reports.sections.runs import latest_of, summary
from reports.sections.throughput import cases, ceilings, roofline_points


def write_files(
    results: Results, tables: Path, figures: Path, table_kind: str, figure_kinds: Collection[str]
) -> list[Path]:
    """Write every table below `tables` as `csv` or `tex`, and every figure below `figures` in each
    of the kinds `svg`, `png`, `pdf`; the files, sorted. What cannot be read is a problem of the
    results."""
    written = []
    tables.mkdir(parents=True, exist_ok=True)
    figures.mkdir(parents=True, exist_ok=True)
    for name, frame in every_table(results):
        path = tables / f"{file_name(name)}.{table_kind}"
        if table_kind == "tex":
            frame.to_latex(path, index=False, float_format="%.4g", escape=True, na_rep="--")
        else:
            frame.to_csv(path, index=False)
        written.append(path)
    for name, figure in every_figure(results):
        paths = [figures / f"{file_name(name)}.{kind}" for kind in figure_kinds]
        save(figure, *paths)
        written += paths
    for kept in results.ablations:
        for source in sorted(kept.folder.iterdir()):
            if source.suffix[1:] in figure_kinds:
                name = file_name(ablation_name(results, kept, source.stem))
                path = figures / f"{name}{source.suffix}"
                shutil.copyfile(source, path)
                written.append(path)
    return sorted(written)


def every_table(results: Results) -> Iterator[tuple[str, pd.DataFrame]]:
    """Name and table of everything that can be read and has rows."""
    for name, path, make in tables_of(results):
        frame = results.tried(path, make)
        if frame is not None and len(frame):
            yield name, frame


def tables_of(results: Results) -> Iterator[tuple[str, Path, Callable[[], pd.DataFrame]]]:
    """The headline, runs, ablations with their findings, benchmarks, full size: name, what it is
    of, and what makes it."""
    _, whole = of_headline(results)
    if whole:
        yield "headline", whole[0].folder, lambda: headline_table(quality(whole))
    for name, runs in results.groups().items():
        latest = results.tried(runs[0].folder, latest_of, runs)
        for base_seed, part in () if latest is None else latest.groupby("base_seed"):
            yield f"run_{name}_base{base_seed}", runs[0].folder, partial(summary, part)
    for kept in results.ablations:
        for stem in ("table", "findings"):
            file = kept.folder / f"{stem}.csv"
            if file.exists():
                yield ablation_name(results, kept, stem), file, partial(to_read, file)
    for bench in results.benchmarks:
        yield bench_name(results, bench), bench.path, partial(cases, bench)
    for kept in results.full_size:
        name = f"full_size_{results.place(kept.folder.parent)}"
        yield name, kept.folder, partial(full_size_table, kept)


def to_read(file: Path) -> pd.DataFrame:
    """A table of a .csv file, one of findings with what belongs together in one cell."""
    frame = pd.read_csv(file)
    return findings_view(frame) if set(OWN) <= set(frame) else frame


def every_figure(results: Results) -> Iterator[tuple[str, plt.Figure]]:
    """Name and figure: rooflines and histories."""
    for bench in results.benchmarks:
        figure = results.tried(bench.path, roofline, bench)
        if figure is not None:
            yield f"{bench_name(results, bench)}_roofline", figure
    for folder in histories(results):
        figure = results.tried(folder, history, folder)
        if figure is not None:
            yield f"history_{results.place(folder.parent)}", figure


def roofline(bench: Bench) -> plt.Figure | None:
    """Of a benchmark file, where its cases have counts."""
    points = roofline_points(bench)
    return draw_roofline(points, *ceilings(bench)) if len(points) else None


def history(folder: Path) -> plt.Figure | None:
    """Of a folder of benchmark files, where there are several."""
    frame = read_history(folder)
    if frame["case"].value_counts().max() < 2:
        return None
    return draw_history(frame, marks(steps(frame, LEAST)))


def ablation_name(results: Results, kept: Kept, stem: str) -> str:
    """Of a file of an ablation: with the machine where there are several, `table` and `figure`
    left out."""
    several = len({one.top for one in results.ablations}) > 1
    stem = stem.removeprefix("table").removeprefix("figure").strip("_")
    parts = (results.place(kept.top) if several else "", kept.preset, kept.folder.name, stem)
    return "_".join(part for part in parts if part)


def bench_name(results: Results, bench: Bench) -> str:
    """Of a benchmark file: its place; of the newest of a history, the history's."""
    folder = bench.path.parent
    path = folder if folder.name == "history" else bench.path
    return f"bench_{results.place(path).partition('.benchmark')[0]}"
