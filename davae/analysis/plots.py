"""Figures from tables and arrays, drawn without a display."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import NullLocator

WIDTH = 7.0
"""Inches of a figure: the text of a page of two columns, so that letters keep their size there."""
INK = "#22303c"
COLOURS = ("#0b6e99", "#c8553d", "#588157", "#8d6a9f", "#b08900", "#52616b")

plt.rcParams.update(
    {
        "font.size": 8,
        "axes.titlesize": 8,
        "axes.labelsize": 7,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": INK,
        "svg.hashsalt": "davae",
    }
)


MARKERS, LINES = ("o", "s", "^", "D"), ("-", "--", ":", "-.")


def look(i: int) -> dict[str, Any]:
    """Colour, marker and line of the i-th of several things in one figure: 24 that differ."""
    k = i // len(COLOURS) % len(MARKERS)
    return {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[k], "ls": LINES[k]}


def legend_below(figure: plt.Figure, axis: plt.Axes) -> None:
    """The legend of one axis below all of them, where it covers nothing."""
    handles, labels = axis.get_legend_handles_labels()
    columns = max(
        1, min(len(labels), round(13 * figure.get_figwidth() / (6 + max(map(len, labels)))))
    )
    figure.legend(
        handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=columns,
        fontsize=7, frameon=False,
    )  # fmt: skip


def plain(name: str) -> str:
    """A name of the user's own as a label that shows it as it is: without formulas between dollars,
    and in the legend where it starts with an underscore (a space goes before that)."""
    return f"{' ' * name.startswith('_')}{name}".replace("$", r"\$")


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


def drawn(folder: Path, stem: str) -> tuple[Path, ...]:
    """The files of a figure: for the page, to look at, and for a paper."""
    return tuple(folder / f"{stem}.{kind}" for kind in ("svg", "png", "pdf"))


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


def embedding_rows(
    paths: tuple[Path, ...],
    rows: dict[str, dict[str, np.ndarray]],
    labels: np.ndarray,
    classes: list[str],
) -> None:
    """A row an arm, a panel a space: 2-D embeddings [N, 2], coloured by class."""
    columns = list(next(iter(rows.values())))
    figure, axes = plt.subplots(
        len(rows), len(columns), figsize=(3.2 * len(columns), 3.2 * len(rows)), squeeze=False
    )
    looks = class_looks(classes)
    for axis, column in zip(axes[0], columns, strict=True):
        axis.set_title(column)
    for line, (name, panels) in zip(axes, rows.items(), strict=True):
        for axis, column in zip(line, columns, strict=True):
            for k, label in enumerate(classes):
                points = panels[column][labels == k]
                axis.plot(*points.T, ls="", ms=2.5, mew=0.7, label=label, **looks[k])
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        line[0].set_ylabel(name)
    axes[0, -1].legend(
        fontsize=6, frameon=False, loc="upper left", bbox_to_anchor=(1, 1), markerscale=2
    )
    save(figure, *paths)


PARTS = ("o", "|", "_", "+")
"""Markers of the second part of a class name."""


def class_looks(classes: list[str]) -> list[dict[str, Any]]:
    """Colour and marker of each class: of "circle, upright" the colour is the circle's and the
    marker that of what is upright; of names of one part the marker changes where colours repeat."""
    parts = [name.partition(", ")[::2] for name in classes]
    seconds = list(dict.fromkeys(second for _, second in parts))
    if len(seconds) == 1 or len(seconds) > len(PARTS):
        return [{k: v for k, v in look(i).items() if k != "ls"} for i in range(len(classes))]
    firsts = list(dict.fromkeys(first for first, _ in parts))
    colours = plt.get_cmap("tab10")
    return [
        {"color": colours(firsts.index(first) % 10), "marker": PARTS[seconds.index(second)]}
        for first, second in parts
    ]


OCTAVES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)


def spectra_figure(
    paths: tuple[Path, ...], panels: dict[str, list[dict[str, np.ndarray]]], spaces: dict[str, str]
) -> None:
    """A panel an arm: radial spectra of each space, a line a seed, on logarithmic axes.

    Every dict holds `frequency` and one array for each key of `spaces`, whose values are titles.
    """
    figure, axes = plt.subplots(
        1, len(panels), figsize=(4.2 * len(panels), 3.2), squeeze=False, sharey=True
    )
    for axis, (name, seeds) in zip(axes[0], panels.items(), strict=True):
        shown = {space: title for space, title in spaces.items() if space in seeds[0]}
        for k, (space, title) in enumerate(shown.items()):
            for i, spectrum in enumerate(seeds):
                label = title if i == 0 else None
                axis.loglog(
                    spectrum["frequency"],
                    spectrum[space],
                    color=COLOURS[k],
                    ls=LINES[k],
                    lw=1.2,
                    alpha=0.8,
                    label=label,
                )
        axis.set(title=name, xlabel="cycles a latent position")
        axis.set_xticks(OCTAVES, [f"1/{round(1 / f)}" for f in OCTAVES])
        axis.xaxis.set_minor_locator(NullLocator())
    axes[0, 0].set_ylabel("power density (white noise: 1)")
    axes[0, 0].legend(fontsize=7, frameon=False)
    figure.tight_layout()
    save(figure, *paths)
