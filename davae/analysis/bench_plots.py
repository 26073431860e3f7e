"""Figures of the benchmark suite: the roofline of a file, and the history of files."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd

from davae.analysis.plots import COLOURS, INK, look, named, plt, save, svg_of

ABREAST = 4
"""Cases in a row of the history's figure."""


def history_svg(history: pd.DataFrame, steps: list[tuple[str, str]]) -> str:
    """`history_figure` as an SVG."""
    return svg_of(draw_history(history, steps))


def history_figure(path: Path, history: pd.DataFrame, steps: list[tuple[str, str]]) -> None:
    """The figure of `draw_history`, to a file."""
    save(draw_history(history, steps), path)


def draw_history(history: pd.DataFrame, steps: list[tuple[str, str]]) -> plt.Figure:
    """Cost of every case of several revisions, as a share of its first; (case, revision) of steps
    are marked.

    history: columns case, git_sha, cost in the order of time; raises ValueError where no case has
    two."""
    counts = history["case"].value_counts()
    cases = sorted(counts[counts > 1].index)
    if not cases:
        raise ValueError("no case of the history has two revisions; there is nothing to draw yet")
    rows = math.ceil(len(cases) / ABREAST)
    figure, axes = plt.subplots(
        rows, ABREAST, figsize=(9, 0.4 + 1.3 * rows), sharey=True, squeeze=False
    )
    for axis in axes.flat[len(cases) :]:
        axis.set_visible(False)
    for axis, case in zip(axes.flat[: len(cases)], cases, strict=True):
        part = history[history["case"] == case]
        costs = part["cost"] / part["cost"].iloc[0]
        axis.plot(range(len(part)), costs, "-", lw=1, color=COLOURS[0])
        for at, (revision, cost) in enumerate(zip(part["git_sha"], costs, strict=True)):
            gid = named(f"{case}, {revision[:10]}: {cost:.3f} of the first")
            axis.plot([at], [cost], "o", ms=3, color=COLOURS[0], gid=gid)
            if (case, revision) in steps:
                axis.axvline(at - 0.5, color=COLOURS[1], lw=1, ls="--")
        name = case.removeprefix("test_scenario[").removesuffix("]")
        axis.set_title(textwrap.fill(name, 30), loc="left", fontsize=6)
        axis.margins(x=0.1)
        axis.set_xticks([])
        axis.axhline(1.0, color=INK, lw=0.5, alpha=0.4)
    for axis in axes[:, 0]:
        axis.set_ylabel("cost / first", fontsize=7)
    figure.supxlabel("revisions, oldest first", fontsize=8)
    figure.tight_layout()
    return figure


def roofline_svg(
    points: pd.DataFrame, product: float, convolution: float, bytes_per_second: float
) -> str:
    """The figure of `draw_roofline` as an SVG whose points have names."""
    return svg_of(draw_roofline(points, product, convolution, bytes_per_second))


def draw_roofline(
    points: pd.DataFrame, product: float, convolution: float, bytes_per_second: float
) -> plt.Figure:
    """Rates of cases against their arithmetic intensity, below the roofs of the measured rates of a
    product and of a convolution (FLOP/s) and the copy bandwidth.

    points: columns case, intensity (FLOPs a byte moved) and flops_per_second. Bytes are those that
    the operators read and write; what stays in a cache between two of them is counted as well, so
    that a point may lie above the slope."""
    figure, axis = plt.subplots(figsize=(7, 4.2))
    low = min(points["intensity"].min() / 2, 0.5)
    ridge = product / bytes_per_second
    high = max(points["intensity"].max(), ridge) * 3
    x = np.geomspace(low, high, 200)
    roofs = []
    for rate, what, style in ((product, "product", "-"), (convolution, "convolution", "--")):
        roof, label = np.minimum(rate, bytes_per_second * x), f"{what}, {rate / 1e9:,.0f} GFLOP/s"
        roofs += axis.loglog(x, roof / 1e9, style, color=INK, lw=1.2, label=label)
    stages = points["case"].str.split("-").str[2].fillna("other")
    for i, stage in enumerate(dict.fromkeys(stages)):
        label = stage
        for _, row in points[stages == stage].iterrows():
            x, y = row["intensity"], row["flops_per_second"] / 1e9
            gid = named(f"{row['case']}: {y:,.0f} GFLOP/s at {x:.1f} FLOPs a byte")
            axis.plot([x], [y], ms=5, label=label, gid=gid, **{**look(i), "ls": ""})
            label = "_"
    axis.set(
        xlabel="FLOPs a byte that operators read or write", ylabel="GFLOP/s",
        title=f"copy {bytes_per_second / 1e9:,.0f} GB/s: it meets the product's rate at "
        f"{ridge:.1f} FLOPs a byte",
    )  # fmt: skip
    axis.add_artist(axis.legend(handles=roofs, fontsize=7, frameon=False, loc="upper left"))
    handles = [line for line in axis.get_lines() if line not in roofs and line.get_label() != "_"]
    axis.legend(handles=handles, fontsize=7, frameon=False, loc="lower right")
    figure.tight_layout()
    return figure
