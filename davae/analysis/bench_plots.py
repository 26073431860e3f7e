"""Figures of the benchmark suite: the roofline of a file, and the history of files."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path

import numpy as np
import pandas as pd

from davae.analysis.plots import COLOURS, INK, named, plt, save, svg_of


def history_svg(history: pd.DataFrame, steps: list[tuple[str, str]]) -> str:
    """`history_figure` as an SVG."""
    return svg_of(draw_history(history, steps))


def history_figure(path: Path, history: pd.DataFrame, steps: list[tuple[str, str]]) -> None:
    """The figure of `draw_history`, to a file."""
    save(draw_history(history, steps), path)


def draw_history(history: pd.DataFrame, steps: list[tuple[str, str]]) -> plt.Figure:
    """Cost of every case over the revisions, as a share of its first; (case, revision) of steps
    are marked.

    history: columns case, git_sha, cost in the order of time."""
    cases = sorted(history["case"].unique())
    figure, axes = plt.subplots(
        len(cases), 1, figsize=(8, 0.6 + 1.4 * len(cases)), sharex=True, squeeze=False
    )
    for axis, case in zip(axes.flat, cases, strict=True):
        part = history[history["case"] == case]
        at = np.arange(len(part))
        axis.plot(at, part["cost"] / part["cost"].iloc[0], "o-", ms=3, lw=1, color=COLOURS[0])
        for place, revision in zip(at, part["git_sha"], strict=True):
            if (case, revision) in steps:
                axis.axvline(place - 0.5, color=COLOURS[1], lw=1, ls="--")
        axis.set_title(case, loc="left", fontsize=8)
        axis.set_ylabel("cost / first")
    axes.flat[-1].set_xlabel("revision, oldest first")
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
    for rate, what, style in ((product, "product", "-"), (convolution, "convolution", "--")):
        axis.loglog(x, np.minimum(rate, bytes_per_second * x) / 1e9, style, color=INK, lw=1.2)
        axis.text(low, rate / 1e9 * 1.03, f"{what} {rate / 1e9:.0f} GFLOP/s", fontsize=7)
    stages = points["case"].str.split("-").str[2].fillna("other")
    for colour, stage in zip(cycle(COLOURS), dict.fromkeys(stages), strict=False):
        label: str | None = stage
        for _, row in points[stages == stage].iterrows():
            x, y = row["intensity"], row["flops_per_second"] / 1e9
            gid = named(f"{row['case']}: {y:.0f} GFLOP/s at {x:.1f} FLOPs a byte")
            axis.plot([x], [y], "o", ms=5, color=colour, label=label, gid=gid)
            label = None
    axis.set(
        xlabel="FLOPs a byte that operators read or write", ylabel="GFLOP/s",
        title=f"copy {bytes_per_second / 1e9:.0f} GB/s: it meets the product's rate at "
        f"{ridge:.1f} FLOPs a byte",
    )  # fmt: skip
    axis.legend(fontsize=7, frameon=False, loc="lower right")
    figure.tight_layout()
    return figure
