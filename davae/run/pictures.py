"""The pictures of a run: samples, reconstructions, training curves."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill

import numpy as np
from PIL import Image

from davae.analysis.plots import curves_figure, image_rows
from davae.analysis.tables import RUN_ROWS, curve_frame
from davae.core.store import LOG
from davae.data.scenes import CLASSES, ENGRAVINGS
from davae.stages.artifacts import class_names, crops
from davae.stages.data import first_of_each, shown_classes
from davae.stages.stage import Pipeline, Stage

TITLE = 20
"""Characters of a line of a block's title."""
LINES = 2
"""Lines of every block of samples.png."""
GLANCE = 8
"""Classes of glance.png."""
BASE_ROWS = ("base_upsampled", "control")
"""The base model's row in glance.png, the first one that is there."""
GLANCE_TITLES = {
    "base_upsampled": "base model,\nenlarged",
    "control": "base, longer,\nenlarged",
    "adapted": "adapted with\nDA-VAE",
    "real": "real",
}


def by_image(images: np.ndarray, classes: int) -> np.ndarray:
    """Images in class-by-class turns [k classes, ...] -> [k, classes, 3, H, W]."""
    return images.reshape(-1, classes, *images.shape[1:])


def draw(
    folder: Path, pipeline: Pipeline, stages: dict[str, Stage], generated: dict[str, str]
) -> None:
    """samples.png, glance.png, reconstruction.png and curves.png, and the curves' points as CSV.

    generated: row of the table to the role whose samples make that block of rows, in order.
    """
    at_crops = pipeline.path(stages["crops"])
    numbers = shown_classes(at_crops, stages["references"].config["metrics"].count)
    classes = [class_names(at_crops)[k] for k in numbers]
    blocks = sample_blocks(pipeline, stages, generated, numbers)
    lines = {fill(RUN_ROWS.get(r, r), TITLE): images[:LINES] for r, images in blocks.items()}
    image_rows(folder / "samples.png", lines, classes)
    draw_glance(folder / "glance.png", blocks, classes)
    shown = {
        role: np.load(pipeline.path(stages[role]) / "shown.npz")
        for role in ("reconstruction", "no_detail")
        if role in stages
    }
    of_davae = shown["reconstruction"]
    rows = {"original": of_davae["original"]}
    if "no_detail" in shown:
        rows["D = 0"] = shown["no_detail"]["no_detail"]
    rows |= {
        "random": of_davae["davae_random"],
        "zeroed": of_davae["davae_zeroed"],
        "exchanged": of_davae["davae_exchanged"],
        "DA-VAE": of_davae["davae"],
    }
    first_lines = {name: by_image(images, len(classes))[:1] for name, images in rows.items()}
    image_rows(folder / "reconstruction.png", first_lines, classes)
    draw_curves(folder, pipeline, stages)


def sample_blocks(
    pipeline: Pipeline, stages: dict[str, Stage], generated: dict[str, str], classes: list[int]
) -> dict[str, np.ndarray]:
    """Real crops, then the first samples of every method: [SHOWN, classes, 3, H, W] each."""
    images, labels = crops(pipeline.path(stages["crops"]), "fresh")
    blocks = {"real": by_image(images[first_of_each(labels, classes)], len(classes))}
    for row, role in generated.items():
        samples = np.load(pipeline.path(stages[role]) / "shown.npz")["samples"]
        blocks[row] = by_image(samples, len(classes))
    return blocks


def draw_glance(path: Path, blocks: dict[str, np.ndarray], classes: list[str]) -> None:
    """The first sample of a few classes, large: of the base model, of the adapted one, and real;
    and each row by itself as a strip, glance.base.png and so on."""
    base = next((row for row in BASE_ROWS if row in blocks), None)
    chosen = glance_classes(classes)
    rows = {row: blocks[row][:1, chosen] for row in (base, "adapted", "real") if row}
    titled = {GLANCE_TITLES[row]: images for row, images in rows.items()}
    image_rows(path, titled, [classes[k] for k in chosen], inches=1.7)
    for row, images in rows.items():
        strip = np.concatenate(list(images[0].transpose(0, 2, 3, 1)), axis=1)
        name = "base" if row == base else row
        Image.fromarray(strip).save(path.with_name(f"glance.{name}.png"))


def glance_classes(classes: list[str]) -> list[int]:
    """Eight classes evenly, or of scenes six: every shape, engraved in turn upright, level and
    crossed."""
    if classes == list(CLASSES):
        engravings = len(ENGRAVINGS)
        return [
            shape * engravings + 1 + shape % (engravings - 1)
            for shape in range(len(classes) // engravings)
        ]
    return [i * len(classes) // GLANCE for i in range(min(GLANCE, len(classes)))]


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
