"""The pictures of a run: samples, reconstructions, training curves."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from davae.analysis.plots import curves_figure, image_rows
from davae.analysis.tables import curve_frame
from davae.core.store import LOG
from davae.stages.artifacts import class_names, crops
from davae.stages.stage import Pipeline, Stage

SHOWN = 4
"""Images a class."""


def by_image(images: np.ndarray, classes: int) -> np.ndarray:
    """Images in class-by-class turns [k classes, ...] -> [k, classes, 3, H, W]."""
    return images.reshape(-1, classes, *images.shape[1:])


def draw(
    folder: Path, pipeline: Pipeline, stages: dict[str, Stage], generated: dict[str, str]
) -> None:
    """samples.png, reconstruction.png and curves.png, and the curves' points as CSV.

    generated: row of the table to the role whose samples make that block of rows, in order.
    """
    at_crops = pipeline.path(stages["crops"])
    classes = class_names(at_crops)
    draw_samples(folder / "samples.png", pipeline, stages, generated, at_crops)
    shown = {
        role: np.load(pipeline.path(stages[role]) / "shown.npz")
        for role in ("reconstruction", "no_detail")
    }
    of_davae, plain = shown["reconstruction"], shown["no_detail"]
    rows = {"original": of_davae["original"], "D = 0": plain["no_detail"]}
    rows |= {
        "random": of_davae["davae_random"],
        "zeroed": of_davae["davae_zeroed"],
        "exchanged": of_davae["davae_exchanged"],
        "DA-VAE": of_davae["davae"],
    }
    first_lines = {name: by_image(images, len(classes))[:1] for name, images in rows.items()}
    image_rows(folder / "reconstruction.png", first_lines, classes)
    draw_curves(folder, pipeline, stages)


def draw_samples(
    path: Path,
    pipeline: Pipeline,
    stages: dict[str, Stage],
    generated: dict[str, str],
    at_crops: Path,
) -> None:
    """Real crops, then the samples of every method, a class a column."""
    classes = class_names(at_crops)
    images, labels = crops(at_crops, "fresh")
    real = np.stack(
        [images[labels == k][:SHOWN] for k in range(len(classes))], 1
    )  # [SHOWN, classes, 3, H, W]
    rows = {"real": real}
    for title, role in generated.items():
        samples = np.load(pipeline.path(stages[role]) / "shown.npz")["samples"]
        rows[title] = by_image(samples, len(classes))
    image_rows(path, rows, classes)


def draw_curves(folder: Path, pipeline: Pipeline, stages: dict[str, Stage]) -> None:
    """curves.png, and every stage's curve as CSV under its key."""
    (folder / "curves").mkdir(exist_ok=True)
    curves = {}
    for role, stage in stages.items():
        path = pipeline.store.folder(stage.name, stage.key)
        if (path / LOG).exists():
            curves[role] = curve_frame(path)
            curves[role].to_csv(folder / "curves" / f"{role}-{stage.key}.csv", index=False)
    curves_figure(folder / "curves.png", curves)
