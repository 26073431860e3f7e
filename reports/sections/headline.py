"""What the method does, how much faster it is, and what was seen of it here."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from markupsafe import Markup
from PIL import Image

from davae.analysis.tables import cell
from davae.core import records
from reports.html import encoded, paragraph, render, table
from reports.published import IMG_S, SPEEDUP
from reports.results import Kept, Results
from reports.section import Section

ROWS = {
    "control": "the base model trained as long, enlarged",
    "control_decoded": "the same through a decoder without detail",
    "adapted": "adapted with DA-VAE",
}
"""Rows of the headline's table."""
METRICS = {"detail_accuracy": "shows the detail of its class", "content_accuracy": "right content"}
STRIPS = {
    "base": "base model, enlarged",
    "adapted": "adapted with DA-VAE",
    "real": "real",
}


def quality(runs: list[Kept]) -> pd.DataFrame:
    """Mean, lowest and highest over runs of the headline's metrics, a row a way; runs of one
    preset."""
    frame = pd.concat([records.latest(kept.frame) for kept in runs])
    kept = frame[frame["arm"].isin(ROWS) & frame["metric"].isin(METRICS)]
    keys = ["arm", "metric"]
    return kept.groupby(keys)["value"].agg(["mean", "min", "max", "count"]).reset_index()


def on_scenes(results: Results) -> list[Kept]:
    """The runs whose detail is a fact."""
    return [kept for kept in results.runs if (kept.frame["metric"] == "detail_accuracy").any()]


def headline_table(measured: pd.DataFrame) -> pd.DataFrame:
    """A row a way: what was measured here in small, beside what is published."""
    rows = []
    published = {"control": IMG_S["enlarged"], "adapted": IMG_S["davae"]}
    for arm, title in ROWS.items():
        row: dict[str, object] = {"way": title, "tokens": "equal"}
        for metric, name in METRICS.items():
            one = measured[(measured["arm"] == arm) & (measured["metric"] == metric)]
            row[f"{name}, measured here in small"] = (
                f"{one['mean'].iloc[0]:.3f} ({one['min'].iloc[0]:.3f} to {one['max'].iloc[0]:.3f})"
                if len(one)
                else "–"
            )
        row["img/s of SD3.5-M at 1024 px on an A100, published"] = published.get(arm)
        rows.append(row)
    native = {"way": "native: 4 times the tokens", "tokens": "4 times"}
    native |= {f"{name}, measured here in small": "–" for name in METRICS.values()}
    native["img/s of SD3.5-M at 1024 px on an A100, published"] = IMG_S["native"]
    return pd.DataFrame([*rows, native])


def cards(measured: pd.DataFrame) -> Markup:
    """The numbers that matter, each with how it is known."""
    found = [
        {
            "kind": "published", "number": f"{SPEEDUP[1024]}x", "what": "as many img/s at 1024 px",
            "how": "published for SD3.5-Medium on an A100, not measured here",
        },
        {
            "kind": "published", "number": f"{SPEEDUP[2048]}x", "what": "as many img/s at 2048 px",
            "how": "published, not measured here",
        },
    ]  # fmt: skip
    for arm in ("adapted", "control"):
        one = measured[(measured["arm"] == arm) & (measured["metric"] == "detail_accuracy")]
        if len(one):
            found.append(
                {
                    "kind": "measured", "number": cell(float(f"{one['mean'].iloc[0]:.2f}")),
                    "what": f"of samples show the fine detail of their class: {ROWS[arm]}",
                    "how": "measured here at reduced scale, 64 px on a CPU; chance is 0.25",
                }
            )  # fmt: skip
    return render("cards.html.j2", cards=found)


def slider(folder: Path, data: str) -> Markup | None:
    """The base model's samples and the adapted one's over each other, above real images."""
    files = {row: folder / f"glance.{row}.png" for row in STRIPS}
    if not all(file.exists() for file in files.values()):
        return None
    images = {row: Image.open(file).convert("RGB") for row, file in files.items()}
    parts = {
        row: {"source": encoded(image), "title": STRIPS[row],
              "alt": f"Samples on {data}: {STRIPS[row]}"}
        for row, image in images.items()
    }  # fmt: skip
    width, height = images["adapted"].size
    return render(
        "slider.html.j2", left=parts["base"], right=parts["adapted"], below=parts["real"],
        width=width, height=height,
        caption=f"First samples of several classes, not chosen, from the same noise seed ({data}). "
        "Move the line: left of it the base model at half the resolution, enlarged; right of it "
        "the adapted model, with as many tokens.",
    )  # fmt: skip


def body(results: Results) -> Markup | None:
    """Cards, pictures and the table."""
    scenes = on_scenes(results)
    if not scenes:
        return None
    measured = quality(scenes)
    count = int(measured["count"].max())
    parts = [
        paragraph(
            "A pretrained image generator (a diffusion transformer on the latents of a VAE) makes "
            "images of one resolution. Twice the resolution would take four times the tokens and "
            "more than four times the time. DA-VAE keeps the tokens: it adds channels to the "
            "latent that hold only what the higher resolution adds, aligned with the channels "
            "that are there, and widens the transformer by layers that start at zero and are "
            "fine-tuned."
        ),
        cards(measured),
    ]
    shown: dict[str, Kept] = {}
    for kept in results.runs:
        shown.setdefault(kept.preset, kept)
    for preset, kept in shown.items():
        part = slider(kept.folder, "photographs" if "photos" in preset else "drawn scenes")
        parts += [part] if part else []
    parts += [
        table(headline_table(measured), f"Means over {count} runs on drawn scenes, lowest to "
              "highest in brackets; published figures beside them"),
        paragraph(
            "Reduced scale: drawn scenes of 64 px whose fine lines no 32 px image can show, 64 "
            "tokens, a transformer of 2.8 million parameters. Both controls were trained for as "
            "many FLOPs as the adaptation. What shows the lines is decided in closed form, without "
            "a network. Throughput of the real model is published, not measured here."
        ),
    ]  # fmt: skip
    return Markup("\n").join(parts)


SECTION = Section(10, "headline", "In short", body)
