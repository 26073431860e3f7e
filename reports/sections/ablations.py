"""Every ablation: its question, figures, tables, verdicts and samples."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from reports.html import Svg, figure, picture
from reports.markdown import blocks
from reports.results import Kept, Results
from reports.section import Section

CAPTIONS = {
    "samples": "Samples of the arms from the same noise",
    "pareto": "The front of two metrics",
    "tsne": "t-SNE of the latents, coloured by class",
    "spectrum": "Radial power spectra of the latents",
    "flow": "Held-out flow loss by step",
    "alignment": "Quality over the alignment error that was reached",
}
"""What the pictures of an ablation's folder show."""


def of_ablation(results: Results, kept: Kept) -> list[Markup]:
    """One ablation's part: what its sweep wrote, and its figures."""
    folder, name = kept.folder, f"{kept.folder.name} at {kept.preset}"
    parts = [Markup("<h3>{}</h3>").format(name)]
    text = results.tried(folder / "table.md", (folder / "table.md").read_text) or ""
    question, _, rest = text.partition("\n")
    if question:
        parts.append(Markup("<p><strong>{}</strong></p>").format(question.strip("*")))
    seeds = kept.frame["seed"].nunique()
    for drawn in sorted(folder.glob("figure*.svg")):
        series = drawn.stem.removeprefix("figure").strip("_")
        caption = f"{kept.frame['arm'].nunique()} arms, {seeds} seeds: every seed a point, means "
        caption += "joined or marked" + (f"; {series}." if series else ".")
        alt = f"{name}: {question.strip('*')} {caption}"
        made = results.tried(drawn, drawing, drawn, alt, caption)
        parts += [made] if made else []
    return [*parts, *blocks(rest, name), *pictures(results, folder, name)]


def drawing(path: Path, alt: str, caption: str) -> Markup:
    """An SVG file."""
    return figure(Svg(path.read_text(), alt, caption))


def pictures(results: Results, folder: Path, name: str) -> list[Markup]:
    """The pictures beside the records that are not the figure."""
    made = []
    for path in sorted(folder.glob("*.png")):
        caption = CAPTIONS.get(path.stem)
        if caption is None:
            continue
        alt = f"{name}: {caption}"
        one = results.tried(path, picture, path, alt, f"{caption}.")
        made += [one] if one else []
    return made


def body(results: Results) -> Markup | None:
    """All of them, in the order of their folders."""
    parts = []
    for kept in results.ablations:
        one = results.tried(kept.folder, of_ablation, results, kept)
        parts += one or []
    return Markup("\n").join(parts) if parts else None


SECTION = Section(40, "ablations", "Ablations", body)
