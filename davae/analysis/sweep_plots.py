"""Figures of a sweep: its arms over their levels, its front, its samples."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from davae.analysis.pareto import front
from davae.analysis.plots import (
    COLOURS,
    INK,
    WIDTH,
    legend_below,
    look,
    named,
    plain,
    plt,
    save,
)
from davae.analysis.stats import Interval
from davae.analysis.tables import extractor_of, of_first_extractor


def level_figure(
    frame: pd.DataFrame,
    panels: dict[tuple[str, str], str],
    *,
    factor: str,
    levels: list[float | str],
    title: str,
    paths: tuple[Path, ...],
) -> None:
    """A panel a (metric, extractor): every seed's value at each level of a factor, and the mean.

    frame has the columns arm, level, seed, metric, protocol and value, and may have series, each of
    a colour of its own; `panels` are titles, as `davae.analysis.tables.column_titles` gives them.
    Numeric levels are sorted, on a logarithmic axis where they span a factor of ten (0 stands left
    of it), and their means joined by a line; categorical ones stand in the order of `levels`, their
    means as bars across.
    """
    series = frame["series"].fillna("") if "series" in frame else pd.Series("", frame.index)
    numeric = all(isinstance(level, (int, float)) for level in levels)
    levels = sorted(levels) if numeric else levels
    places = positions(levels)
    names = [f"{level:g}" if isinstance(level, (int, float)) else level for level in levels]
    crowded, rows = sum(map(len, names)) > 28, math.ceil(len(panels) / 3)
    size = (WIDTH, 1.6 * rows + 0.9 if crowded else 2.1 * rows)
    figure, axes = plt.subplots(rows, 3, figsize=size, squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    extractors = extractor_of(frame["protocol"])
    for place, (axis, ((metric, extractor), label)) in enumerate(
        zip(axes.flat[: len(panels)], panels.items(), strict=True)
    ):
        of_panel = (frame["metric"] == metric) & (extractors == extractor)
        for i, name in enumerate(series.unique()):
            draw_levels(axis, frame[of_panel & (series == name)], places, look(i), name)
        axis.set_xticks(list(places.values()), list(map(plain, names)))
        axis.margins(x=0.08)
        axis.set_xlabel(plain(factor))
        axis.set_title(plain(textwrap.fill(label, 34)))
        if crowded:
            slant(axis, lowest=place + 3 >= len(panels), in_layout=place // 3 == rows - 1)
    figure.suptitle(plain(title), fontsize=8, y=1.0, va="bottom")
    figure.tight_layout()
    if series.nunique() > 1:
        legend_below(figure, axes[0, 0])
    save(figure, *paths)


def slant(axis: plt.Axes, *, lowest: bool, in_layout: bool) -> None:
    """Long names of levels, below the lowest panel of a column alone, which may reach into an empty
    place."""
    axis.set_xlabel("")
    if not lowest:
        axis.set_xticklabels([])
    for name in axis.get_xticklabels():
        name.set(rotation=35, ha="right", rotation_mode="anchor")
        name.set_in_layout(in_layout)


def positions(levels: list[float | str]) -> dict[float | str, float]:
    """Where levels stand on the axis: categories in turn; numbers at their value or, where they
    span a factor of ten, at its logarithm, 0 left of the smallest by the mean distance."""
    numbers = [float(level) for level in levels if isinstance(level, (int, float))]
    above = [value for value in numbers if value > 0]
    if len(numbers) < len(levels):
        return {level: float(place) for place, level in enumerate(levels)}
    if len(above) < 2 or min(numbers) < 0 or max(above) < 10 * min(above):
        return {level: float(level) for level in levels}
    logs = {level: math.log10(float(level)) for level in levels if float(level) > 0}
    gap = (max(logs.values()) - min(logs.values())) / (len(logs) - 1)
    return {level: logs.get(level, min(logs.values()) - gap) for level in levels}


def draw_levels(
    axis: plt.Axes,
    rows: pd.DataFrame,
    places: dict[float | str, float],
    style: dict[str, Any],
    name: str,
) -> None:
    """One series: every seed's value, and the means."""
    values = {place: rows[rows["level"] == level] for level, place in places.items()}
    values = {place: part for place, part in values.items() if len(part)}
    for place, part in values.items():
        for arm, seed, value in zip(part["arm"], part["seed"], part["value"], strict=True):
            gid = named(f"{arm}, seed {seed}: {value:.4g}")
            axis.plot([place], [value], ms=4, alpha=0.6, gid=gid, **{**style, "ls": ""})
    means = [part["value"].mean() for part in values.values()]
    joined = all(isinstance(level, (int, float)) for level in places)
    line = {**style, "label": plain(name)} if name else {**style, "color": INK}
    if joined:
        axis.plot(list(values), means, lw=1, **{**line, "marker": ""})
    else:
        axis.plot(list(values), means, ms=18, mew=1.5, **{**line, "ls": "", "marker": "_"})


def means_figure(
    paths: tuple[Path, ...], frame: pd.DataFrame, x: tuple[str, str], panels: dict[str, str]
) -> None:
    """The figure of `draw_means`, to files; none where no metric of a panel, or not x, is there."""
    there = set(frame["metric"])
    if x[0] in there and not there.isdisjoint(panels):
        save(draw_means(frame, x, panels), *paths)


def draw_means(frame: pd.DataFrame, x: tuple[str, str], panels: dict[str, str]) -> plt.Figure:
    """A panel a metric over another one, x: (metric, title): every seed of every arm under the
    metric's first extractor, and the arm's mean."""
    values = of_first_extractor(frame).pivot_table(
        index=["arm", "seed"], columns="metric", values="value", sort=False
    )
    panels = {metric: title for metric, title in panels.items() if metric in values}
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 2.4), squeeze=False)
    for axis, (metric, title) in zip(axes[0], panels.items(), strict=True):
        for i, (arm, rows) in enumerate(values.groupby("arm", sort=False)):
            seeds = rows[[x[0], metric]].dropna()
            names = [f"{arm}, seed {seed}" for _, seed in seeds.index]
            cloud(axis, i, str(arm), seeds.to_numpy(), names)
        axis.set(xlabel=plain(x[1]), title=plain(title))
    figure.tight_layout()
    legend_below(figure, axes[0, 0])
    return figure


def cloud(axis: plt.Axes, i: int, name: str, values: np.ndarray, names: list[str]) -> None:
    """Points [n, 2] of the i-th thing, each with its name and place as a title, and their mean,
    large, in the legend."""
    style = {**look(i), "ls": ""}
    for point, of_point in zip(values, names, strict=True):
        gid = named(f"{of_point}: {point[0]:.4g}, {point[1]:.4g}")
        axis.plot(*point, ms=3, alpha=0.5, gid=gid, **style)
    if len(values):
        mean = values.mean(axis=0)
        gid = named(f"{name}, mean: {mean[0]:.4g}, {mean[1]:.4g}")
        axis.plot(*mean, ms=6, mec="white", mew=0.5, label=plain(name), gid=gid, **style)


def by_step_figure(
    paths: tuple[Path, ...],
    curves: dict[tuple[str, int], pd.DataFrame],
    panels: dict[str, str],
    first: int = 1,
) -> None:
    """A panel a column over the column step, from the step `first` on (0: before any training, on a
    logarithmic axis): every seed of an arm thin, the arm's mean thick.

    curves: (arm, seed) to its curve, without any of which no figure is drawn; panels: column to
    title."""
    if not curves:
        return
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 2.8), squeeze=False)
    arms = list(dict.fromkeys(arm for arm, _ in curves))
    for axis, (column, title) in zip(axes[0], panels.items(), strict=True):
        for i, arm in enumerate(arms):
            own = [
                c[c["step"] >= first].set_index("step")[column]
                for (a, _), c in curves.items()
                if a == arm
            ]
            style = {**look(i), "marker": ""}
            for curve in own:
                axis.plot(curve.index, curve, lw=0.5, alpha=0.5, **style)
            mean = pd.concat(own, axis=1).mean(axis=1)
            axis.plot(mean.index, mean, lw=1.6, label=plain(arm), **style)
        axis.set(xlabel="step", title=plain(title), yscale="linear" if first else "log")
    figure.tight_layout()
    legend_below(figure, axes[0, 0])
    save(figure, *paths)


def ranks_figure(
    paths: tuple[Path, ...],
    found: dict[tuple[str, str], Interval],
    sure: set[tuple[str, str]],
    others: dict[tuple[str, str], list[float]],
) -> None:
    """A panel a quality, a row a measure: their rank correlation with its interval, filled where it
    is sure; a stroke for each of the other networks.

    found: (measure, quality) to what is shown; sure, others: of the same pairs."""
    measures = list(dict.fromkeys(measure for measure, _ in found))
    qualities = list(dict.fromkeys(quality for _, quality in found))
    size = (WIDTH, 0.24 * len(measures) + 0.9)
    figure, axes = plt.subplots(1, len(qualities), figsize=size, squeeze=False, sharey=True)
    for axis, quality in zip(axes[0], qualities, strict=True):
        axis.axvline(0, color=INK, lw=0.5, zorder=0)
        for row, measure in enumerate(measures):
            pair = measure, quality
            if pair not in found:
                continue
            one, filled = found[pair], pair in sure
            axis.plot([one.low, one.high], [row, row], color=COLOURS[0], lw=1)
            axis.plot(others[pair], [row] * len(others[pair]), "|", color=COLOURS[1], ms=7)
            gid = named(f"{measure}, {quality}: {one.text()}")
            colour = COLOURS[0] if filled else "white"
            axis.plot([one.mean], [row], "o", ms=5, mec=COLOURS[0], mfc=colour, gid=gid)
        axis.set(title=plain(quality), xlim=(-1.05, 1.05), xlabel="rank correlation")
    axes[0, 0].set_yticks(range(len(measures)), [textwrap.fill(plain(m), 34) for m in measures])
    axes[0, 0].invert_yaxis()
    figure.tight_layout()
    save(figure, *paths)


def pareto_figure(
    paths: tuple[Path, ...],
    values: dict[str, np.ndarray],
    titles: list[str],
    turned: list[bool],
    on_front: Collection[str],
) -> None:
    """Arms in the plane of two metrics, [seeds, 2] each and lower is better in both: every seed,
    the mean, and as a staircase the front of the means of those arms that can be on it; turned: the
    metrics whose sign was changed for that, which are shown as they are."""
    figure, axis = plt.subplots(figsize=(5, 3.6))
    means = np.array([seeds.mean(axis=0) for arm, seeds in values.items() if arm in on_front])
    signs = np.where(turned, -1.0, 1.0)
    for i, (name, seeds) in enumerate(values.items()):
        cloud(axis, i, name, seeds * signs, [f"{name}, a seed"] * len(seeds))
    if len(means):
        best = means[front(means)]
        best = best[np.argsort(best[:, 0])] * signs
        axis.step(*best.T, where="post", color=INK, lw=1, ls="--", zorder=0)
    for one_is, invert in zip(turned, (axis.invert_xaxis, axis.invert_yaxis), strict=True):
        if one_is:
            invert()
    across, up = map(plain, titles)
    axis.set(xlabel=f"{across}, better to the left", ylabel=f"{up}, better below")
    figure.tight_layout()
    legend_below(figure, axis)
    save(figure, *paths)


def image_strips(path: Path, strips: dict[str, Path]) -> None:
    """Pictures of one size below each other, each with its name."""
    images = {name: plt.imread(file) for name, file in strips.items()}
    height, width = next(iter(images.values())).shape[:2]
    figure, axes = plt.subplots(
        len(images), 1, figsize=(9, (9 * height / width + 0.05) * len(images)), squeeze=False
    )
    for axis, (name, image) in zip(axes[:, 0], images.items(), strict=True):
        axis.imshow(image, interpolation="nearest")
        axis.set(xticks=[], yticks=[])
        axis.set_ylabel(plain(name), rotation=0, ha="right", va="center", fontsize=7)
        axis.spines[:].set_visible(False)
    figure.subplots_adjust(hspace=0.05)
    save(figure, path)
