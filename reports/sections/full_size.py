"""SD3.5-Medium's own shapes, native and widened: counted, measured on this machine, composed and
predicted, each under its name."""

from __future__ import annotations

import pandas as pd
from markupsafe import Markup

from reports.html import paragraph, table
from reports.published import IMG_S, SPEEDUP
from reports.results import Kept, Results
from reports.section import Section

COLUMNS = {
    "tokens": "tokens",
    "image_tflop": "TFLOP an image",
    "denoise_s": "s a forward of an image, measured",
    "decode_s": "s a decode, measured",
    "img_per_s": "img/s, composed of these",
    "img_per_s_A100": "img/s on an A100, predicted",
}
"""Metric to title; what a record lacks is shown as missing."""
PUBLISHED = {
    "native 512 px": IMG_S["enlarged"],
    "native 1024 px": IMG_S["native"],
    "widened 1024 px": IMG_S["davae"],
}
WHAT = (
    "SD3.5-Medium at random weights, as it is (native) and with the DA-VAE (widened), 28 steps "
    "with guidance. FLOPs are counted; a forward and a decode are measured on the machine named, "
    "an image at a time in float32 on a CPU, 10 (2 at 2048 px) in bfloat16 on a GPU; images a "
    "second are composed of these, text encoding left out. The prediction for an A100 takes one "
    "share of its peak rate for all forms, which is fitted to the published figures of 1024 px."
)


def values_of(kept: Kept) -> pd.Series:
    """Value by form with resolution and metric, of the newest run in a folder."""
    frame = kept.frame.drop_duplicates(["arm", "metric"], keep="last")
    return frame.set_index(["arm", "metric"])["value"]


def short(value: float) -> str:
    """Three digits, all of them from a thousand on."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def full_size_table(kept: Kept) -> pd.DataFrame:
    """A row a form and resolution."""
    values = values_of(kept)
    rows = []
    for arm in dict.fromkeys(kept.frame["arm"]):
        row: dict[str, object] = {"model": arm}
        row |= {
            title: short(values[arm, metric]) if (arm, metric) in values.index else "–"
            for metric, title in COLUMNS.items()
        }
        rows.append({**row, "A100, published": PUBLISHED.get(str(arm), "–")})
    return pd.DataFrame(rows)


def ratios(kept: Kept) -> str:
    """How many times the native model's images a second, measured here beside published."""
    values, found = values_of(kept), []
    for px, published in SPEEDUP.items():
        sides = [(f"{form} {px} px", "img_per_s") for form in ("widened", "native")]
        if all(side in values.index for side in sides):
            ratio = values[sides[0]] / values[sides[1]]
            found.append(f"at {px} px {ratio:.2f} times, {published} published on an A100")
    if not found:
        return "No images a second were measured."
    return f"Images a second of the widened model over the native one's: {'; '.join(found)}."


def of_folder(kept: Kept) -> list[Markup]:
    """One machine's table."""
    made = full_size_table(kept)
    return [table(made, f"Full size, {kept.folder.parent.name}"), paragraph(ratios(kept))]


def body(results: Results) -> Markup | None:
    """Every machine's table."""
    parts = []
    for kept in results.full_size:
        parts += results.tried(kept.folder, of_folder, kept) or []
    return Markup("\n").join([paragraph(WHAT), *parts]) if parts else None


SECTION = Section(25, "full-size", "Full size", body)
