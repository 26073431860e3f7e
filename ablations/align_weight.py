"""How much alignment? (Table 4 of the paper.) Weights as ratios of gradients, as the paper's, and
fixed ones on the normalised loss. What it costs in reconstruction, `alignment_cost` asks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from davae.analysis.findings import Claim
from davae.analysis.plots import drawn
from davae.analysis.sweep_plots import means_figure
from davae.core.experiment import Experiment
from davae.sweep.ablation import Ablation, Arm

FIXED = (0.0, 0.001, 0.003, 0.01, 0.1)
RATIOS = (0.1, 0.5, 1.0)
NONE, HALF, WHOLE = "lambda=0", "ratio 0.5", "ratio 1"


def arms(base: Experiment) -> tuple[Arm, ...]:
    """One arm a weight; without alignment, which both modes share, is the reference."""

    def arm(name: str, level: float, mode: str) -> Arm:
        davae = replace(base.davae, align_weight=level, align_mode=mode)
        series = "gradient ratio" if mode == "gradient_ratio" else "fixed"
        e = replace(base, davae=davae)
        return Arm(name, "align_weight", level, e, reference=name == NONE, series=series)

    fixed = [arm(f"lambda={level:g}", level, "fixed") for level in FIXED]
    return (*fixed, *(arm(f"ratio {level:g}", level, "gradient_ratio") for level in RATIOS))


def write(frame: pd.DataFrame, folder: Path) -> str:
    """The figure alignment: reconstruction and generation over the alignment error that an arm
    reached, which both modes of weighting share."""
    panels = {
        m: METRICS[m] for m in ("psnr_db", "detail_accuracy", "content_accuracy", "gkd_effnet")
    }
    means_figure(
        drawn(folder, "alignment"), frame, x=("align_unexplained", METRICS["align_unexplained"]),
        panels=panels,
    )  # fmt: skip
    return "\nThe figure “alignment” has the alignment error that the arms reached below.\n"


METRICS = {
    "psnr_db": "PSNR dB",
    "psnr_over_zeroed_db": "PSNR above zeroed detail, dB",
    "rkd_effnet": "rKD",
    "align_unexplained": "alignment loss",
    "effective_rank_z_d": "effective rank of z_d",
    "effective_rank_z_d_residual": "effective rank of its residual",
    "knn_purity_z_d": "kNN purity of z_d",
    "detail_accuracy": "detail accuracy",
    "content_accuracy": "content accuracy",
    "gkd_effnet": "gKD",
}
FLOORS = {"psnr_over_zeroed_db": 1.0, "effective_rank_z_d_residual": 3.0}
"""Below them the detail has collapsed. The rank is of what z does not explain: an aligned z_d has
few dimensions of its own because z has few."""


def nearer(a: str, b: str, text: str, published: str) -> Claim:
    """Samples of `a` are nearer to real images than those of `b`."""
    return Claim(
        text=text, published=published, metric="gkd_effnet", a=a, b=b, direction="lower",
        ratio=True, margin=0.03,
    )  # fmt: skip


def shows(metric: str, text: str, published: str) -> Claim:
    """More samples with a moderate weight than without alignment."""
    return Claim(
        text=text, published=published, metric=metric, a=HALF, b=NONE, direction="higher",
        margin=0.03,
    )  # fmt: skip


GENERATION = (
    nearer(
        HALF, NONE, "a moderate weight buys generation", "Table 4: FID-10k 9.27 at 0.5, 16.37 at 0"
    ),
    nearer(
        WHOLE, NONE, "a large weight buys generation", "Table 4: FID-10k 10.40 at 1.0, 16.37 at 0"
    ),
    nearer(HALF, WHOLE, "too much costs generation", "Table 4: FID-10k 9.27 at 0.5, 10.40 at 1.0"),
    shows("content_accuracy", "a moderate weight buys content", "Table 4, as FID"),
    shows("detail_accuracy", "a moderate weight buys detail", "Table 4, as FID"),
)
"""What Table 4 says of generation."""
ABLATION = Ablation(
    name="align_weight",
    question="What does the weight of the alignment loss buy in generation?",
    arms=arms,
    trains="davae",
    metrics=METRICS,
    measured=("reconstruction", "structure", "generation"),
    apart=True,
    plotted=(
        "psnr_db", "rkd_effnet", "align_unexplained", "effective_rank_z_d", "detail_accuracy",
        "content_accuracy", "gkd_effnet",
    ),
    floors=FLOORS,
    pareto=("psnr_db", "gkd_effnet"),
    write=write,
    claims=(
        *GENERATION,
        nearer("lambda=0.01", NONE, "a small fixed weight buys generation", ""),
    ),
)  # fmt: skip
