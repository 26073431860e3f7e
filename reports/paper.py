"""What a paper needs: every table as LaTeX, every figure as PDF and SVG."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd

from davae.analysis.plots import draw_roofline, save
from reports.results import Results, read_results
from reports.sections.headline import headline_table, on_scenes, quality
from reports.sections.runs import by_preset, latest_of, summary
from reports.sections.throughput import cases, ceilings, roofline_points

KEPT = ("table*.tex", "figure*.pdf", "figure*.svg")
"""Files of an ablation's folder that are taken over."""


def write_paper(top: Path, out: Path) -> list[Path]:
    """Write OUT/*.tex, *.pdf and *.svg from the results below `top`; the files, in order."""
    results = read_results(top)
    out.mkdir(parents=True, exist_ok=True)
    before = set(out.iterdir())
    if on_scenes(results):
        write_table(out / "headline.tex", headline_table(quality(on_scenes(results))))
    for preset, runs in by_preset(results).items():
        write_table(out / f"run_{preset}.tex", summary(latest_of(runs)))
    ablations(results, out)
    for bench in results.benchmarks:
        stem = bench.path.name.partition(".")[0]
        write_table(out / f"bench_{stem}.tex", cases(bench))
        points = roofline_points(bench)
        if len(points):
            figure = draw_roofline(points, *ceilings(bench))
            save(figure, out / f"bench_{stem}.pdf", out / f"bench_{stem}.svg")
    return sorted(set(out.iterdir()) - before)


def write_table(path: Path, table: pd.DataFrame) -> None:
    """A table as LaTeX, with booktabs' rules."""
    table.to_latex(path, index=False, float_format="%.4g", escape=True, na_rep="--")


def ablations(results: Results, out: Path) -> None:
    """The tables and figures that the ablations wrote beside their records."""
    for kept in results.ablations:
        for source in sorted(path for name in KEPT for path in kept.folder.glob(name)):
            name = source.name.removeprefix("table").removeprefix("figure")
            shutil.copyfile(source, out / f"{kept.preset}_{kept.folder.name}{name}")
