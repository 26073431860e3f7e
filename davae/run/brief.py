"""The first run's table: six rows, and what was measured in a sentence."""

from __future__ import annotations

import pandas as pd

from davae.analysis.tables import RUN_COLUMNS, to_markdown
from davae.core.experiment import Experiment

TITLES = {
    "real_heldout": "real scenes",
    "base_vae_enlarged": "real, through the base VAE, enlarged",
    "davae": "real, through the DA-VAE",
    "base_upsampled": "samples of the base model, enlarged",
    "base_decoded": "the same, decoder without detail",
    "adapted": "samples of the adapted model",
}
"""The rows, in order."""
BASES = ("base_upsampled", "base_decoded")
COLUMNS = ("detail_accuracy", "detail_amplitude", "content_accuracy", "psnr_db")


def content_text(rows: pd.DataFrame) -> str:
    """How often shape and colour are right, which a short adaptation costs; empty where that was
    not measured."""
    content = rows["content_accuracy"].dropna()
    bases = [row for row in BASES if row in content]
    if "adapted" not in content or not bases:
        return ""
    return (
        f"Shape and colour are right in {100 * content['adapted']:.0f}% of them, in "
        f"{100 * content[bases[0]]:.0f}% of the base model's: after a whole adaptation the "
        "difference is small (README). "
    )


def brief(e: Experiment, frame: pd.DataFrame) -> str:
    """The table's Markdown and the sentence, from the records of a run on scenes."""
    kept = frame[frame["arm"].isin(TITLES) & frame["metric"].isin(COLUMNS)]
    wide = kept.pivot_table(index="arm", columns="metric", values="value")
    rows = wide.reindex(index=[row for row in TITLES if row in wide.index], columns=list(COLUMNS))
    table = rows.rename(index=TITLES, columns=RUN_COLUMNS).rename_axis("row").reset_index()
    shown = {row: f"{100 * value:.0f}%" for row, value in rows["detail_accuracy"].items()}
    bases = [row for row in BASES if row in shown]
    against = " and ".join(f"{shown[row]} ({TITLES[row]})" for row in bases)
    tokens = (e.latent_size // e.base_dit.patch_size) ** 2
    return (
        f"{to_markdown(table)}\nWith the same {tokens} tokens, {shown['adapted']} of the adapted "
        f"model's samples show the engraving of their class, against {against}; 25% is chance. "
        f"{content_text(rows)}"
        f"Measured on {e.eval.count or e.data.eval_crops} drawn scenes of "
        f"{e.data.resolution_px} px, seed {e.seed}, at reduced scale.\n"
    )
