"""Figures from tables and arrays, drawn without a display."""

from __future__ import annotations

import io
import math
import re
import textwrap
from itertools import cycle
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import NullLocator

from davae.analysis.pareto import front
from davae.analysis.tables import extractor_of

INK = "#22303c"
COLOURS = ("#0b6e99", "#c8553d", "#588157", "#8d6a9f", "#b08900", "#52616b")

plt.rcParams.update(
    {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": INK,
        "svg.hashsalt": "davae",
    }
)


NAMED = "named:"
"""Start of the gid of an artist whose name becomes its title in an SVG."""


def named(text: str) -> str:
    """The gid of an artist that an SVG shows `text` for when the mouse is on it."""
    return f"{NAMED}{text}"


def svg_of(figure: plt.Figure) -> str:
    """The figure as an SVG without a date, the names of its points as titles; closes it."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    name = rf"<g id=(?:\"{NAMED}([^\"]*)\"|'{NAMED}([^']*)')>"
    return re.sub(name, lambda m: f"<g><title>{m[1] or m[2]}</title>", buffer.getvalue())


def save(figure: plt.Figure, *paths: Path) -> None:
    """Write the figure to each path and close it; the files carry no date."""
    for path in paths:
        if path.suffix == ".svg":
            path.write_text(svg_of(figure))
        else:
            undated = {"CreationDate": None} if path.suffix == ".pdf" else None
            figure.savefig(path, dpi=110, bbox_inches="tight", metadata=undated)
    plt.close(figure)


def image_rows(
    path: Path, rows: dict[str, np.ndarray], columns: list[str], inches: float = 1.0
) -> None:
    """Named blocks of uint8 images [k, columns, 3, H, W] below each other, a class a column, each
    image `inches` wide."""
    blocks = [
        np.concatenate([np.concatenate(list(line.transpose(0, 2, 3, 1)), 1) for line in v])
        for v in rows.values()
    ]
    side = next(iter(rows.values())).shape[-1]
    heights = [block.shape[0] / side for block in blocks]
    figure, axes = plt.subplots(
        len(rows),
        1,
        figsize=(inches * len(columns), inches * sum(heights) + 0.3),
        height_ratios=heights,
        squeeze=False,
    )
    for axis, name, block in zip(axes[:, 0], rows, blocks, strict=True):
        axis.imshow(block, interpolation="nearest")
        axis.set(xticks=[], yticks=[], ylabel=name)
        axis.spines[:].set_visible(False)
    axes[0, 0].set_xticks(
        [side * (i + 0.5) for i in range(len(columns))], columns, fontsize=6, rotation=20, ha="left"
    )
    axes[0, 0].xaxis.tick_top()
    axes[0, 0].tick_params(length=0)
    figure.subplots_adjust(hspace=0.02)
    save(figure, path)


def curves_figure(path: Path, curves: dict[str, pd.DataFrame]) -> None:
    """One panel a training stage: losses against steps, held-out figures on a second axis."""
    rows = math.ceil(len(curves) / 3)
    figure, axes = plt.subplots(rows, 3, figsize=(11, 3 * rows), squeeze=False)
    for axis in axes.flat[len(curves) :]:
        axis.set_visible(False)
    for axis, (role, frame) in zip(axes.flat[: len(curves)], curves.items(), strict=True):
        held = [c for c in frame.columns if c.startswith("eval/")]
        shown = [c for c in ("l1", "base", "detail") if c in frame]
        for colour, name in zip(COLOURS[: len(shown)], shown, strict=True):
            axis.plot(
                frame["step"],
                frame[name].rolling(9, min_periods=1).mean(),
                color=colour,
                lw=1,
                label=name,
            )
        other = axis.twinx() if any("psnr" in c for c in held) else axis
        for colour, name in zip(COLOURS[2 : 2 + len(held)], held, strict=True):
            points = frame[["step", name]].dropna()
            other.plot(
                points["step"],
                points[name],
                "o-",
                ms=2.5,
                lw=1,
                color=colour,
                label=name.removeprefix("eval/"),
            )
        lines = [*axis.get_lines(), *(other.get_lines() if other is not axis else [])]
        axis.legend(
            lines,
            [str(line.get_label()) for line in lines],
            fontsize=6,
            frameon=False,
            loc="center right",
        )
        axis.set(title=role, xlabel="step", ylabel="training loss")
        other.set_ylabel("PSNR dB" if other is not axis else "loss")
    figure.tight_layout()
    save(figure, path)


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
    rows_of_three = math.ceil(len(panels) / 3)
    figure, axes = plt.subplots(rows_of_three, 3, figsize=(9, 2.7 * rows_of_three), squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    extractors = extractor_of(frame["protocol"])
    shown = axes.flat[: len(panels)]
    for axis, ((metric, extractor), label) in zip(shown, panels.items(), strict=True):
        of_panel = (frame["metric"] == metric) & (extractors == extractor)
        for colour, name in zip(cycle(COLOURS), series.unique(), strict=False):
            draw_levels(axis, frame[of_panel & (series == name)], places, colour, name)
        names = [f"{level:g}" if isinstance(level, (int, float)) else level for level in levels]
        crowded = sum(map(len, names)) > 28
        slant = {"rotation": 35, "ha": "right", "fontsize": 7} if crowded else {}
        axis.set_xticks(list(places.values()), names, **slant)
        axis.margins(x=0.08)
        axis.set_xlabel(factor)
        axis.set_title(textwrap.fill(label, 34), fontsize=9)
    if series.nunique() > 1:
        axes[0, 0].legend(fontsize=7, frameon=False)
    figure.suptitle(title, fontsize=9)
    figure.tight_layout()
    save(figure, *paths)


def positions(levels: list[float | str]) -> dict[float | str, float]:
    """Where levels stand on the axis: categories in turn; numbers at their value or, where they
    span a factor of ten, at its logarithm, 0 left of the smallest by the mean distance."""
    numbers = [float(level) for level in levels if isinstance(level, (int, float))]
    above = [value for value in numbers if value > 0]
    if len(numbers) < len(levels):
        return {level: float(place) for place, level in enumerate(levels)}
    if len(above) < 2 or min(numbers) < 0 or max(above) < 10 * min(above):
        return {level: float(level) for level in levels}
    logs = {level: math.log10(level) for level in levels if level > 0}  # type: ignore[operator,arg-type]
    gap = (max(logs.values()) - min(logs.values())) / (len(logs) - 1)
    return {level: logs.get(level, min(logs.values()) - gap) for level in levels}


def draw_levels(
    axis: plt.Axes,
    rows: pd.DataFrame,
    places: dict[float | str, float],
    colour: str,
    name: str,
) -> None:
    """One series: every seed's value, and the means."""
    values = {place: rows[rows["level"] == level] for level, place in places.items()}
    values = {place: part for place, part in values.items() if len(part)}
    for place, part in values.items():
        for arm, seed, value in zip(part["arm"], part["seed"], part["value"], strict=True):
            gid = named(f"{arm}, seed {seed}: {value:.4g}")
            axis.plot([place], [value], "o", ms=4, color=colour, alpha=0.6, gid=gid)
    means = [part["value"].mean() for part in values.values()]
    joined = all(isinstance(level, (int, float)) for level in places)
    colour, label = (colour, name) if name else (INK, None)
    if joined:
        axis.plot(list(values), means, "-", lw=1, color=colour, label=label)
    else:
        axis.plot(list(values), means, "_", ms=18, mew=1.5, color=colour, label=label)


def means_figure(
    path: Path, frame: pd.DataFrame, x: tuple[str, str], panels: dict[str, str]
) -> None:
    """A panel a metric over another one, x: (metric, title): every arm's mean over seeds, coloured
    by series, and its name."""
    means = frame.pivot_table(index=["series", "arm"], columns="metric", values="value", sort=False)
    panels = {metric: title for metric, title in panels.items() if metric in means}
    figure, axes = plt.subplots(1, len(panels), figsize=(3.6 * len(panels), 3), squeeze=False)
    for axis, (metric, title) in zip(axes[0], panels.items(), strict=True):
        colours = zip(means.groupby("series", sort=False), cycle(COLOURS), strict=False)
        for (series, rows), colour in colours:
            axis.plot(rows[x[0]], rows[metric], "o", color=colour, label=series)
            names = rows.index.get_level_values("arm")
            for name, *place in zip(names, rows[x[0]], rows[metric], strict=True):
                axis.annotate(name, place, (3, 3), textcoords="offset points", fontsize=6)
        axis.set(xlabel=x[1], title=title)
    axes[0, 0].legend(fontsize=7, frameon=False)
    figure.tight_layout()
    save(figure, path)


def by_step_figure(
    path: Path, curves: dict[tuple[str, int], pd.DataFrame], panels: dict[str, str]
) -> None:
    """A panel a column over the column step: every seed of an arm thin, the arm's mean thick; the
    first point, before any training, is left out.

    curves: (arm, seed) to its curve; panels: column to title."""
    figure, axes = plt.subplots(1, len(panels), figsize=(4.5 * len(panels), 3.2), squeeze=False)
    arms = list(dict.fromkeys(arm for arm, _ in curves))
    for axis, (column, title) in zip(axes[0], panels.items(), strict=True):
        for i, arm in enumerate(arms):
            own = [
                c[c["step"] > 0].set_index("step")[column]
                for (a, _), c in curves.items()
                if a == arm
            ]
            look = {"color": COLOURS[i % len(COLOURS)], "ls": ("-", "--")[i // len(COLOURS) % 2]}
            for curve in own:
                axis.plot(curve.index, curve, lw=0.5, alpha=0.5, **look)
            mean = pd.concat(own, axis=1).mean(axis=1)
            axis.plot(mean.index, mean, lw=1.6, label=arm, **look)
        axis.set(xlabel="step", title=title)
    axes[0, 0].legend(fontsize=6, frameon=False)
    figure.tight_layout()
    save(figure, path)


def pareto_figure(path: Path, values: dict[str, np.ndarray], titles: list[str]) -> None:
    """Arms in the plane of two metrics, [seeds, 2] each and lower is better in both: every seed,
    the mean, and the front of the means as a staircase."""
    figure, axis = plt.subplots(figsize=(5, 3.6))
    means = np.stack([seeds.mean(axis=0) for seeds in values.values()])
    for (name, seeds), mean, colour in zip(values.items(), means, cycle(COLOURS), strict=False):
        axis.plot(*seeds.T, "o", ms=3, alpha=0.5, color=colour)
        axis.plot(*mean, "D", ms=6, color=colour)
        axis.annotate(name, mean, xytext=(5, 5), textcoords="offset points", fontsize=7)
    best = means[front(means)]
    best = best[np.argsort(best[:, 0])]
    axis.step(*best.T, where="post", color=INK, lw=1, ls="--", zorder=0)
    axis.set(xlabel=f"{titles[0]}, better to the left", ylabel=f"{titles[1]}, better below")
    figure.tight_layout()
    save(figure, path)


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
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=7)
        axis.spines[:].set_visible(False)
    figure.subplots_adjust(hspace=0.05)
    save(figure, path)


def embedding_rows(
    path: Path, rows: dict[str, dict[str, np.ndarray]], labels: np.ndarray, classes: list[str]
) -> None:
    """A row an arm, a panel a space: 2-D embeddings [N, 2], coloured by class."""
    columns = list(next(iter(rows.values())))
    figure, axes = plt.subplots(
        len(rows), len(columns), figsize=(3.2 * len(columns), 3.2 * len(rows)), squeeze=False
    )
    colours = plt.get_cmap("tab20")(np.arange(len(classes)) % 20)
    for axis, column in zip(axes[0], columns, strict=True):
        axis.set_title(column)
    for line, (name, panels) in zip(axes, rows.items(), strict=True):
        for axis, column in zip(line, columns, strict=True):
            for k, label in enumerate(classes):
                points = panels[column][labels == k]
                axis.scatter(*points.T, s=3, color=colours[k], label=label, linewidths=0)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        line[0].set_ylabel(name)
    axes[0, -1].legend(
        fontsize=6, frameon=False, loc="upper left", bbox_to_anchor=(1, 1), markerscale=3
    )
    save(figure, path)


OCTAVES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)


def spectra_figure(
    path: Path, panels: dict[str, list[dict[str, np.ndarray]]], spaces: dict[str, str]
) -> None:
    """A panel an arm: radial spectra of each space, a line a seed, on logarithmic axes.

    Every dict holds `frequency` and one array for each key of `spaces`, whose values are titles.
    """
    figure, axes = plt.subplots(
        1, len(panels), figsize=(4.2 * len(panels), 3.2), squeeze=False, sharey=True
    )
    for axis, (name, seeds) in zip(axes[0], panels.items(), strict=True):
        shown = {space: title for space, title in spaces.items() if space in seeds[0]}
        for colour, (space, title) in zip(COLOURS[: len(shown)], shown.items(), strict=True):
            for i, spectrum in enumerate(seeds):
                label = title if i == 0 else None
                axis.loglog(
                    spectrum["frequency"],
                    spectrum[space],
                    color=colour,
                    lw=1,
                    alpha=0.7,
                    label=label,
                )
        axis.set(title=name, xlabel="cycles a latent position")
        axis.set_xticks(OCTAVES, [f"1/{round(1 / f)}" for f in OCTAVES])
        axis.xaxis.set_minor_locator(NullLocator())
    axes[0, 0].set_ylabel("power density (white noise: 1)")
    axes[0, 0].legend(fontsize=7, frameon=False)
    figure.tight_layout()
    save(figure, path, path.with_suffix(".svg"))


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
