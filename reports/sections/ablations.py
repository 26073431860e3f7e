"""Every ablation: its question, figures, tables, verdicts and samples."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from markupsafe import Markup
from PIL import Image

from davae.analysis.findings import CONDITIONS
from davae.core.presets import ARMS, PRESETS
from davae.sweep.arm import file_name
from reports.html import Svg, figure, folded, paragraph, picture
from reports.markdown import blocks
from reports.results import Kept, Results
from reports.section import Section
from reports.sections.findings import by_claim, findings_of

CAPTIONS = {
    "samples": "Samples of the arms from the same noise",
    "pareto": "The front of two metrics",
    "tsne": "t-SNE of the latents, coloured by class",
    "spectrum": "Radial power spectra of the latents",
    "flow": "Held-out flow loss by step",
    "alignment": "Quality over the alignment error that was reached",
    "speed": "Quality over the images a second that were measured",
}
"""What the pictures of an ablation's folder show."""
DRAWN = ("pareto", "alignment", "speed", "spectrum")
"""Those that are shown as drawings, whose points say what they are."""
TALL = 900
"""Pixels from which a picture is shown when asked for."""
UNJUDGED = "No claim has a verdict."
SEE = "How verdicts are computed: under “What of the paper holds here”."


ORDER = ("components", "align_weight", "alignment_cost", "init", "schedule", "channels",
         "align_method", "tokens", "latent_structure", "detail_use", "proxies")  # fmt: skip
"""Ablations come in this order, others after them by name."""


def place(kept: Kept) -> tuple[int, str, str]:
    """Where an ablation stands: by its question, then by preset and base seed."""
    name = kept.folder.name.partition("-base")[0]
    rank = ORDER.index(name) if name in ORDER else len(ORDER)
    return rank, name, str(kept.folder)


def of_ablation(results: Results, kept: Kept) -> list[Markup]:
    """One ablation's part: what its sweep wrote, and its figures."""
    folder, name = kept.folder, f"{kept.folder.name} at {kept.preset}"
    parts = [Markup('<h3 id="{}">{}</h3>').format(anchor(kept), name)]
    text = results.tried(folder / "table.md", (folder / "table.md").read_text) or ""
    question, _, rest = text.partition("\n")
    if question:
        parts.append(Markup("<p><strong>{}</strong></p>").format(question.strip("*")))
    seen = results.tried(folder / "findings.csv", seen_of, kept) or UNJUDGED
    figures = sorted(folder.glob("figure*.svg"))
    if not figures and (folder / "table.csv").exists():
        results.problem(folder, "has no figure")
    for drawn in figures:
        series = drawn.stem.removeprefix("figure").strip("_")
        caption = results.tried(folder / "table.csv", counted, kept, series) or "Arms"
        caption += ": every seed a point, means joined or marked"
        caption += f"; {series.replace('_', ' ')}." if series else "."
        made = results.tried(drawn, drawing, drawn, f"{question.strip('*')} {seen}", caption)
        parts += [made] if made else []
    return [
        *parts,
        *blocks(rest.replace(CONDITIONS, SEE), name),
        *pictures(results, folder, name, seen),
    ]


def seen_of(kept: Kept) -> str:
    """The verdicts of an ablation in a sentence, for who does not see its figures."""
    found = findings_of(kept)
    if found.empty:
        return UNJUDGED
    rows = by_claim(found)[["claim", "kind_of"]].itertuples(index=False)
    return " ".join(f"{claim}: {kind}." for claim, kind in rows)


def counted(kept: Kept, series: str) -> str:
    """How many arms and seeds a figure shows: those of the ablation's table, or of one series and
    the reference."""
    table = pd.read_csv(kept.folder / "table.csv")
    arms, seeds = table["arm"].map(str), table["seeds"]
    if series:
        frame = kept.frame
        named = frame["series"].map(file_name) == series
        of_series = frame.loc[named | frame["reference"].astype(bool), "arm"]
        arms, seeds = arms[arms.isin(of_series)], seeds[arms.isin(of_series)]
    least, most = int(seeds.min()), int(seeds.max())
    many = f"{least} to {most} seeds" if least < most else f"{most} seed{'s' * (most > 1)}"
    return f"{len(arms)} arms, {many}"


def anchor(kept: Kept) -> str:
    """Of an ablation's heading."""
    return file_name(f"ablation-{kept.preset}-{kept.folder.name}-{kept.top.name}")


def drawing(path: Path, alt: str, caption: str) -> Markup:
    """An SVG file."""
    return figure(Svg(path.read_text(), alt, caption))


def pictures(results: Results, folder: Path, name: str, seen: str) -> list[Markup]:
    """The pictures beside the records that are not the figure; seen: what the ablation found."""
    made = []
    for path in sorted(folder.glob("*.png")):
        caption = CAPTIONS.get(path.stem)
        if caption is None:
            continue
        alt = f"{name}: {caption}. {seen}"
        svg = path.with_suffix(".svg")
        if path.stem in DRAWN and svg.exists():
            one = results.tried(svg, drawing, svg, alt, f"{caption}.")
        else:
            one = results.tried(path, picture, path, alt, f"{caption}.")
            if one and Image.open(path).height > TALL:
                one = folded(f"{caption}: a tall picture", one)
        made += [one] if one else []
    return made


def body(results: Results) -> Markup | None:
    """All of them, and where each is."""
    parts, ordered = [], sorted(results.ablations, key=place)
    for kept in ordered:
        one = results.tried(kept.folder, of_ablation, results, kept)
        parts += one or []
    links = [
        Markup('<li><a href="#{}">{} at {}</a></li>').format(anchor(k), k.folder.name, k.preset)
        for k in ordered
    ]
    index = Markup('<nav aria-label="Ablations"><ul>{}</ul></nav>').format(Markup("").join(links))
    return Markup("\n").join([paragraph(lengths(results)), index, *parts]) if parts else None


def lengths(results: Results) -> str:
    """How long arms are adapted, and whole runs: the same way at two lengths has two qualities."""
    said = []
    for name in dict.fromkeys(kept.preset for kept in results.ablations):
        whole = PRESETS[name].adapt.train.steps if name in PRESETS else 0
        arm = ARMS[name].adapt.adapt.train.steps if name in ARMS else whole
        if arm < whole:
            said.append(f"at {name} for {arm:,} steps, whole runs for {whole:,}")
    return (
        f"Arms are adapted for a shorter time than whole runs: {'; '.join(said)}." if said else ""
    )


SECTION = Section(40, "ablations", "Ablations", body)
