"""pandas tables from records and logs. Rounding happens here, for reading, and nowhere before."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from davae.metrics.protocol import check_same
from davae.train.loop import read_log

RUN_ROWS = {
    "bicubic": "bicubic",
    "no_detail": "decoder without detail (D = 0)",
    "davae_random": "DA-VAE, detail randomised",
    "davae_zeroed": "DA-VAE, detail zeroed",
    "davae": "DA-VAE",
    "base_vae": "base VAE at its own resolution",
    "control": "control: base, trained longer, enlarged",
    "base_upsampled": "pretrained pipeline at the base resolution, enlarged",
    "adapted": "adapted with DA-VAE",
    "real_heldout": "real held-out crops",
    "real_fresh": "real fresh crops",
}
RUN_COLUMNS = {
    "psnr_db": "PSNR dB",
    "ssim": "SSIM",
    "pd_effnet": "PD",
    "rkd_effnet": "rKD",
    "rfd_effnet": "rFD",
    "gkd_effnet": "gKD",
    "gfd_effnet": "gFD",
    "probe_accuracy": "probe",
    "nearest_rms": "nearest",
}


def run_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows and columns of a run's table; the mean over seeds where there are several.

    Distances in one column share one protocol, or ValueError.
    """
    quality = frame[frame["metric"].isin(RUN_COLUMNS) & frame["arm"].isin(RUN_ROWS)]
    for metric in ("rkd_effnet", "rfd_effnet", "gkd_effnet", "gfd_effnet"):
        check_same(sorted(quality.loc[quality["metric"] == metric, "protocol"]))
    wide = quality.pivot_table(index="arm", columns="metric", values="value")
    wide = wide.reindex([arm for arm in RUN_ROWS if arm in wide.index])
    wide = wide[[metric for metric in RUN_COLUMNS if metric in wide.columns]].rename(columns=RUN_COLUMNS)
    return wide.rename(index=RUN_ROWS).rename_axis("row").reset_index().rename_axis(None, axis=1)


def to_markdown(table: pd.DataFrame) -> str:
    """A Markdown table; numbers to four significant digits or as integers, gaps as a dash."""
    head = [str(c) for c in table.columns]
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(" --- " for _ in head) + "|"]
    for values in table.itertuples(index=False):
        lines.append("| " + " | ".join(cell(v) for v in values) + " |")
    return "\n".join(lines) + "\n"


def cell(value: object) -> str:
    """One value as text."""
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def curve_frame(folder: Path, points: int = 200) -> pd.DataFrame:
    """A training log as one row a step: every held-out figure, and about `points` training steps."""
    frame = pd.DataFrame(read_log(folder)).groupby("step", sort=True).first().reset_index()
    stride = max(1, len(frame) // points)
    held = [c for c in frame.columns if c.startswith("eval/")]
    keep = (frame["step"] % stride == 0) | frame[held].notna().any(axis=1)
    return frame[keep]
