"""Every ablation: its question, figure, table, findings and samples."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from markupsafe import Markup

from davae.analysis.tables import WIDE, upright
from reports.html import Svg, figure, picture, table
from reports.results import Kept, Results
from reports.section import Section

CAPTIONS = {
    "samples": "samples of the arms from the same noise",
    "pareto": "the front of two metrics",
    "tsne": "t-SNE of the latents, coloured by class",
    "spectrum": "radial power spectra of the latents",
    "flow": "held-out flow loss by step",
    "alignment": "quality over the alignment error that was reached",
}
"""What the pictures of an ablation's folder show."""


def of_ablation(kept: Kept) -> list[Markup]:
    """One ablation's part."""
    folder, name = kept.folder, f"{kept.folder.name} at {kept.preset}"
    parts = [Markup("<h3>{}</h3>").format(name)]
    text = folder / "table.md"
    question = text.read_text().partition("\n")[0].strip("*") if text.exists() else ""
    if question:
        parts.append(Markup("<p><strong>{}</strong></p>").format(question))
    for drawn in sorted(folder.glob("figure*.svg")):
        alt = f"{name}: {question} Every seed a point, the means joined or marked."
        parts.append(figure(Svg(drawn.read_text(), alt)))
    for file, caption in (("table.csv", "Means over seeds"), ("findings.csv", "Findings")):
        if (folder / file).exists():
            frame = pd.read_csv(folder / file)
            wide = file == "table.csv" and len(frame.columns) > WIDE
            drawn_table = table(upright(frame) if wide else frame, f"{caption}, {name}")
            parts.append(folded(drawn_table, caption) if wide else drawn_table)
    return [*parts, *pictures(folder, name)]


def folded(content: Markup, summary: str) -> Markup:
    """A long table that is shown when asked for."""
    return Markup("<details><summary>{}</summary>{}</details>").format(summary, content)


def pictures(folder: Path, name: str) -> list[Markup]:
    """The pictures beside the records that are not the figure."""
    return [
        picture(path, f"{name}: {CAPTIONS[path.stem]}", f"{CAPTIONS[path.stem].capitalize()}.")
        for path in sorted(folder.glob("*.png"))
        if path.stem in CAPTIONS
    ]


def body(results: Results) -> Markup | None:
    """All of them, in the order of their folders."""
    parts = [part for kept in results.ablations for part in of_ablation(kept)]
    return Markup("\n").join(parts) if parts else None


SECTION = Section(40, "ablations", "Ablations", body)
