"""What a paper needs: every table as LaTeX, every figure as PDF and SVG."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd

from davae.analysis.bench_plots import draw_roofline
from davae.analysis.plots import save
from davae.sweep.arm import file_name
from reports.results import Results, read_results
from reports.sections.headline import headline_table, of_headline, quality
from reports.sections.runs import latest_of, summary
from reports.sections.throughput import cases, ceilings, roofline_points

KEPT = ("table*.tex", "*.pdf", "*.svg")
"""Files of an ablation's folder that are taken over."""


def write_paper(top: Path, out: Path) -> list[Path]:
    """Write OUT/*.tex, *.pdf and *.svg from the results below `top`; the files, in order."""
    results = read_results(top)
    out.mkdir(parents=True, exist_ok=True)
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    _, runs = of_headline(results)
    if runs:
        write_table(out / "headline.tex", headline_table(quality(runs)))
    for name, runs in results.groups().items():
        for base_seed, part in latest_of(runs).groupby("base_seed"):
            write_table(out / f"run_{file_name(name)}_base{base_seed}.tex", summary(part))
    ablations(results, out)
    for bench in results.benchmarks:
        stem = bench.path.name.partition(".")[0]
        write_table(out / f"bench_{stem}.tex", cases(bench))
        points = roofline_points(bench)
        if len(points):
            figure = draw_roofline(points, *ceilings(bench))
            save(figure, out / f"bench_{stem}.pdf", out / f"bench_{stem}.svg")
    return sorted(p for p in out.iterdir() if p.stat().st_mtime_ns != before.get(p))


def write_table(path: Path, table: pd.DataFrame) -> None:
    """A table as LaTeX, with booktabs' rules."""
    table.to_latex(path, index=False, float_format="%.4g", escape=True, na_rep="--")


def ablations(results: Results, out: Path) -> None:
    """The tables and figures that the ablations wrote beside their records."""
    for kept in results.ablations:
        for source in sorted(path for name in KEPT for path in kept.folder.glob(name)):
            stem = source.stem.removeprefix("table").removeprefix("figure").strip("_")
            name = "_".join(part for part in (kept.preset, kept.folder.name, stem) if part)
            shutil.copyfile(source, out / f"{name}{source.suffix}")
