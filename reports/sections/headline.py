"""What the method does, how much faster it is, and what was seen of it here."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from markupsafe import Markup
from PIL import Image

from davae.core import records
from davae.core.presets import PRESETS
from davae.data.scenes import ENGRAVINGS
from reports.html import encoded, paragraph, render, table
from reports.published import IMG_S, SPEEDUP
from reports.results import Kept, Results
from reports.section import Section
from reports.sections.findings import in_short
from reports.sections.throughput import forward_ratio, sampled_on_gpu

ROWS = {
    "base_upsampled": "the base model as it is, enlarged",
    "control": "the base model trained as long, enlarged",
    "control_decoded": "the same through a decoder without detail",
    "adapted": "adapted with DA-VAE",
}
"""Rows of the headline's table."""
METRICS = {"detail_accuracy": "shows the detail of its class", "content_accuracy": "right content"}
DATA = {"scenes": "drawn scenes", "photos": "photographs"}
STRIPS = {"base": "base model, enlarged", "adapted": "adapted with DA-VAE", "real": "real"}
FIRST = "tiny"
"""The preset of the headline, where there are runs of it."""
WHAT = (
    "A pretrained image generator (a diffusion transformer on the latents of a VAE) makes images "
    "of one resolution. Twice the resolution would take four times the tokens and more than four "
    "times the time. DA-VAE keeps the tokens: it adds channels to the latent that hold only what "
    "the higher resolution adds, aligned with the channels that are there, and widens the "
    "transformer by layers that start at zero and are fine-tuned."
)
CHANCE = 1 / len(ENGRAVINGS)
"""The share of classes without lines."""
REDUCED = (
    "Reduced scale: drawn scenes whose fine lines no image of half the resolution can show, on a "
    "CPU. Some classes have no lines at all, so that a model that never draws one is right in "
    f"{CHANCE:.2f} of its samples. Both controls were trained for as many FLOPs as the adaptation; "
    "the DA-VAE's own training comes on top. Whether lines are there is computed from the pixels, "
    "without a network. No transformer was trained at full size here: what is said of "
    "SD3.5-Medium's speed is of random weights."
)


def of_headline(results: Results) -> tuple[str, list[Kept]]:
    """The name and the runs of one preset whose detail is a fact: FIRST, or the first one."""
    groups = {}
    for name, runs in results.groups().items():
        whole = [kept for kept in runs if {"adapted", "control"} <= with_detail(kept)]
        there = {kept.folder for kept in whole}
        for kept in runs if whole else []:
            if kept.folder not in there:
                results.problem(kept.folder, "is left out of the headline: it is not finished")
        groups |= {name: whole} if whole else {}
    if not groups:
        return "", []
    name = next((n for n, runs in groups.items() if runs[0].preset == FIRST), next(iter(groups)))
    return name, groups[name]


def with_detail(kept: Kept) -> set[str]:
    """The rows of a run whose detail was measured."""
    return set(kept.frame.loc[kept.frame["metric"] == "detail_accuracy", "arm"])


def quality(runs: list[Kept]) -> pd.DataFrame:
    """Mean, lowest and highest over runs of the headline's metrics, a row a way; runs of one
    preset."""
    frame = pd.concat([records.latest(kept.frame) for kept in runs])
    kept = frame[frame["arm"].isin(ROWS) & frame["metric"].isin(METRICS)]
    keys = ["arm", "metric"]
    return kept.groupby(keys)["value"].agg(["mean", "min", "max", "count"]).reset_index()


def headline_table(measured: pd.DataFrame) -> pd.DataFrame:
    """A row a way: what was measured here in small, beside what is published."""
    rows = []
    published = {"base_upsampled": IMG_S["enlarged"], "adapted": IMG_S["davae"]}
    speed = "img/s of SD3.5-M at 1024 px on an A100, published"
    for arm, title in ROWS.items():
        row: dict[str, object] = {"way": title, "tokens": "equal"}
        for metric, name in METRICS.items():
            one = measured[(measured["arm"] == arm) & (measured["metric"] == metric)]
            row[f"{name}, measured here in small"] = (
                f"{one['mean'].iloc[0]:.3f} ({one['min'].iloc[0]:.3f} to {one['max'].iloc[0]:.3f})"
                if len(one)
                else "–"
            )
        rows.append({**row, speed: published.get(arm)})
    native = {"way": "native: 4 times the tokens", "tokens": "4 times"}
    native |= {f"{name}, measured here in small": "–" for name in METRICS.values()}
    return pd.DataFrame([*rows, {**native, speed: IMG_S["native"]}])


def cards(results: Results, measured: pd.DataFrame) -> Markup:
    """The numbers that matter, each with how it is known."""
    found = [
        {
            "kind": "published", "number": f"{SPEEDUP[px]}x", "what": f"the img/s of the native "
            f"model at {px} px, which has 4 times the tokens",
            "how": "published for SD3.5-Medium on an A100",
        }
        for px in SPEEDUP
    ]  # fmt: skip
    on_gpu = sampled_on_gpu(results)
    if on_gpu is not None:
        gpu, rates = on_gpu
        found.append(
            {
                "kind": "measured", "number": f"{rates['widened'] / rates['native']:.2f}x",
                "what": f"the img/s of the native SD3.5-Medium at 1024 px: {rates['widened']:.3g} "
                f"instead of {rates['native']:.3g}",
                "how": f"measured here on one {gpu}: text, all steps, decode; random weights",
            }
        )  # fmt: skip
    ratio = forward_ratio(results)
    if ratio is not None:
        found.append(
            {
                "kind": "measured", "number": f"{ratio[0]:.1f}x", "what": "the forwards a second "
                "of the native model with 4 times the tokens",
                "how": "measured here: tiny transformer, batch 32, random weights, "
                f"{ratio[1]} CPU cores",
            }
        )  # fmt: skip
    shares = {
        "adapted": "of the adapted model's samples show the lines of their class",
        "control": "of the base model's samples, enlarged; without any line it would be "
        f"{CHANCE:.2f}",
    }
    for arm, what in shares.items():
        one = measured[(measured["arm"] == arm) & (measured["metric"] == "detail_accuracy")]
        if len(one):
            found.append(
                {"kind": "measured", "number": f"{one['mean'].iloc[0]:.2f}", "what": what,
                 "how": "measured here at reduced scale, on a CPU"}
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
        caption=f"First samples of several classes, not chosen ({data}). Move the line: left of it "
        "the base model at half the resolution, enlarged; right of it the adapted model, with as "
        "many tokens. Their noise has different shapes, so that these are different images of a "
        "class.",
    )  # fmt: skip


def sliders(results: Results) -> list[Markup]:
    """One a data set, of the first run that has the pictures."""
    found: dict[str, Markup] = {}
    for kept in results.runs:
        name = PRESETS[kept.preset].data.name if kept.preset in PRESETS else kept.preset
        data = DATA.get(name, name)
        if data not in found:
            made = results.tried(kept.folder, slider, kept.folder, data)
            found |= {data: made} if made else {}
    return list(found.values())


def body(results: Results) -> Markup | None:
    """Cards, pictures and the table."""
    name, runs = of_headline(results)
    measured = quality(runs) if runs else pd.DataFrame(columns=["arm", "metric"])
    parts = [paragraph(WHAT), cards(results, measured)]
    parts += [paragraph(said) for said in in_short(results)] + sliders(results)
    if runs:
        caption = f"{name}: means over {len(runs)} runs on drawn scenes, lowest to highest in "
        caption += "brackets; published figures beside them"
        parts += [table(headline_table(measured), caption), paragraph(REDUCED)]
    return Markup("\n").join(parts)


SECTION = Section(10, "headline", "In short", body)
