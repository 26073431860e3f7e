"""pandas tables from records and logs. Rounding happens here, for reading, and nowhere before."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from davae.core.records import check_same
from davae.core.store import read_log

RUN_ROWS = {
    "bicubic": "bicubic",
    "no_detail": "decoder without detail (D = 0)",
    "davae_random": "DA-VAE, detail randomised",
    "davae_zeroed": "DA-VAE, detail zeroed",
    "davae_exchanged": "DA-VAE, detail of another crop",
    "davae": "DA-VAE",
    "base_vae": "base VAE at its own resolution",
    "base_vae_enlarged": "base VAE, enlarged",
    "base_upsampled": "pretrained base model, enlarged",
    "base_decoded": "pretrained base model, decoder D = 0",
    "control": "control: base, trained longer, enlarged",
    "control_decoded": "control, decoder D = 0",
    "repeat": "adapted with z repeated, decoder D = 0",
    "regressed": "pretrained base model, detail regressed from z",
    "native": "base model at the full resolution, 4 times the tokens",
    "tuned": "pretrained base model, tuned by adapters, enlarged",
    "adapted": "adapted with DA-VAE",
    "real_train": "real training crops",
    "real_heldout": "real held-out crops",
    "real_fresh": "real fresh crops",
}
"""Title of every row of a run's table; registering a method adds its own."""
RUN_COLUMNS = {
    "psnr_db": "PSNR dB",
    "ssim": "SSIM",
    "pd_effnet": "PD",
    "rkd_effnet": "rKD",
    "rfd_effnet": "rFD",
    "gkd_effnet": "gKD",
    "gpkd_effnet": "gKD of patches",
    "gfd_effnet": "gFD",
    "detail_accuracy": "detail",
    "detail_amplitude": "amplitude",
    "detail_purity": "purity",
    "content_accuracy": "content",
    "probe_accuracy": "probe",
    "nearest_ratio": "nearest",
    "latent_fd_base": "FD of z",
    "latent_fd_detail": "FD of z_d",
    "training_tflop": "training TFLOP",
    "training_seconds": "seconds",
}
"""Title of the usual columns, in order; other metrics follow under their own names."""
BESIDE = (
    "orthogonal_share",
    "align_unexplained",
    "psnr_zeroed_db",
    "psnr_over_zeroed_db",
    "psnr_random_db",
    "psnr_over_random_db",
    "rfd_zeroed_effnet",
    "rfd_zeroed_excess",
    "rfd_random_effnet",
    "rfd_random_excess",
    "psnr_exchanged_db",
    "psnr_over_exchanged_db",
    "rfd_exchanged_effnet",
    "rfd_exchanged_excess",
)
"""Figures of one row that no other has: recorded, and shown by ablations."""
STAGE_PREFIX = "stage:"
"""Of the `arm` of a stage's own rows in a run's records."""
WIDE = 12
"""Metrics that a table with an arm a row holds at most."""


def extractor_of(protocols: pd.Series) -> pd.Series:
    """The extractor that a distance's protocol names, with its width; empty for other protocols."""
    return protocols.str.extract(r"^(.+)-n\d+/[0-9a-f]+", expand=False).fillna("")


def of_first_extractor(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of every metric under the first extractor that it has."""
    extractors = extractor_of(frame["protocol"])
    first = extractors.groupby(frame["metric"], sort=False).transform("first")
    return frame[extractors == first]


def column_titles(frame: pd.DataFrame, titles: dict[str, str]) -> dict[tuple[str, str], str]:
    """Title of the column of each (metric, extractor) of the records, metrics in the order of
    `titles`.

    A metric's first extractor goes without its name. Raises ValueError where the rows of one column
    have several protocols."""
    extractors = extractor_of(frame["protocol"])
    columns: dict[tuple[str, str], str] = {}
    for metric, title in titles.items():
        rows = frame["metric"] == metric
        for i, extractor in enumerate(extractors[rows].unique()):
            if extractor:
                check_same(frame.loc[rows & (extractors == extractor), "protocol"])
            columns[metric, extractor] = f"{title} on {extractor}" if i else title
    return columns


def run_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows and columns of a run's table; the mean over seeds where there are several.

    A distance has one column an extractor; within one, all rows share one protocol, or ValueError.
    """
    quality = frame[
        ~frame["arm"].str.startswith(STAGE_PREFIX) & ~frame["metric"].isin(BESIDE)
    ].copy()
    others = [metric for metric in quality["metric"].unique() if metric not in RUN_COLUMNS]
    titles = {**RUN_COLUMNS, **{metric: metric for metric in others}}
    columns = column_titles(quality, titles)
    pairs = zip(quality["metric"], extractor_of(quality["protocol"]), strict=True)
    quality["column"] = [columns[pair] for pair in pairs]
    wide = quality.pivot_table(index="arm", columns="column", values="value")[
        list(columns.values())
    ]
    titled = [arm for arm in RUN_ROWS if arm in wide.index]
    wide = wide.reindex([*titled, *(arm for arm in quality["arm"].unique() if arm not in RUN_ROWS)])
    return wide.rename(index=RUN_ROWS).rename_axis("row").reset_index().rename_axis(None, axis=1)


def stage_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Seconds of each stage of a run's records, and each training's rate beside the machine's
    matmul rate.

    Its rows are stages, of every seed where there are several.
    """
    stages = frame[frame["arm"].str.startswith(STAGE_PREFIX)]
    index = ["seed", "arm"] if stages["seed"].nunique() > 1 else ["arm"]
    wide = stages.pivot_table(
        index=index, columns="metric", values="value", sort=False
    ).reset_index()
    wide.insert(len(index) - 1, "stage", wide["arm"].str.removeprefix(STAGE_PREFIX))
    columns = {"seconds": "seconds", "steps": "steps", "parameters": "parameters",
               "flops_per_second": "GFLOP/s", "matmul_flops_per_second": "matmul GFLOP/s",
               "share_of_matmul_rate": "share"}  # fmt: skip
    wide = wide[[*index[:-1], "stage", *(c for c in columns if c in wide)]].rename(columns=columns)
    for name in ("GFLOP/s", "matmul GFLOP/s"):
        if name in wide:
            wide[name] = wide[name] / 1e9
    return wide


def doubtful(stages: pd.DataFrame) -> str:
    """A sentence on shares of the machine's rate that lie above 1, of a stage table; empty where
    there are none."""
    if "share" not in stages:
        return ""
    above = stages.loc[stages["share"] > 1, "stage"]
    if above.empty:
        return ""
    return (
        f"Shares above 1 ({', '.join(above)}) are none: the rate beside them was measured while "
        "something else ran, or for products of another dtype.\n\n"
    )


def upright(table: pd.DataFrame, index: str = "arm") -> pd.DataFrame:
    """The table with each row a column, for many metrics."""
    return table.set_index(index).T.rename_axis("metric").reset_index().rename_axis(None, axis=1)


def to_markdown(table: pd.DataFrame) -> str:
    """A Markdown table; numbers to four significant digits or as integers, gaps as a dash; text on
    one line, a bar in it as a slash."""
    head = [one_line(str(c)) for c in table.columns]
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(" --- " for _ in head) + "|"]
    for values in table.itertuples(index=False):
        lines.append("| " + " | ".join(one_line(cell(v)) for v in values) + " |")
    return "\n".join(lines) + "\n"


def one_line(text: str) -> str:
    """The text without what would end a cell of a Markdown table."""
    return " ".join(text.splitlines()).replace("|", "/")


def cell(value: object) -> str:
    """One value as text."""
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def plus_minus(mean: float, half: float) -> str:
    """A mean with its half width, to two digits of that; without one that is 0 or a gap."""
    if not half > 0 or not math.isfinite(half):
        return cell(float(mean))
    places = max(0, 1 - math.floor(math.log10(half)))
    return f"{mean:,.{places}f} ± {half:,.{places}f}"


def curve_frame(folder: Path, points: int = 200) -> pd.DataFrame:
    """A training log, one row a step: every held-out figure, about `points` training steps."""
    frame = pd.DataFrame(read_log(folder)).groupby("step", sort=True).first().reset_index()
    stride = max(1, len(frame) // points)
    held = [c for c in frame.columns if c.startswith("eval/")]
    keep = (frame["step"] % stride == 0) | frame[held].notna().any(axis=1)
    return frame[keep]
