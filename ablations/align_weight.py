"""How much alignment? (Table 4 of the paper.) Weights as ratios of gradients, as the paper's, and
fixed ones on the normalised loss."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from davae.analysis.findings import Claim
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
    """alignment.png: reconstruction and generation over the alignment error that an arm reached,
    which both modes of weighting share."""
    panels = {m: METRICS[m] for m in ("psnr_db", "detail_accuracy", "content_accuracy")}
    means_figure(
        folder / "alignment.png", frame, x=("align_unexplained", METRICS["align_unexplained"]),
        panels=panels,
    )  # fmt: skip
    return "\nOver the alignment error that the arms reached: alignment.png.\n"


METRICS = {
    "psnr_db": "PSNR dB",
    "psnr_over_zeroed_db": "PSNR above zeroed detail, dB",
    "rkd_effnet": "rKD",
    "align_unexplained": "alignment loss",
    "effective_rank_z_d": "effective rank of z_d",
    "knn_purity_z_d": "kNN purity of z_d",
    "detail_accuracy": "detail accuracy",
    "content_accuracy": "content accuracy",
    "gkd_effnet": "gKD",
}
ABLATION = Ablation(
    name="align_weight",
    question="What does the weight of the alignment loss cost in reconstruction and buy in "
    "generation?",
    arms=arms,
    trains="davae",
    metrics=METRICS,
    measured=("reconstruction", "structure", "generation"),
    apart=True,
    floors={"psnr_over_zeroed_db": 1.0, "effective_rank_z_d": 3.0},
    pareto=("psnr_db", "gkd_effnet"),
    write=write,
    claims=(
        Claim(
            text="alignment costs reconstruction",
            published="Table 4: rFID 0.43 at 0, 0.54 at 1.0",
            metric="psnr_db",
            a=WHOLE,
            b=NONE,
            direction="lower",
            margin=0.1,
        ),
        Claim(
            text="a moderate weight buys generation",
            published="Table 4: FID-10k 16.37 at 0, 9.27 at 0.5",
            metric="gkd_effnet",
            a=HALF,
            b=NONE,
            direction="lower",
            ratio=True,
            margin=0.05,
        ),
        Claim(
            text="a moderate weight buys detail",
            published="Table 4, as FID",
            metric="detail_accuracy",
            a=HALF,
            b=NONE,
            direction="higher",
            margin=0.03,
        ),
        Claim(
            text="too much alignment costs generation",
            published="Table 4: FID-10k 9.27 at 0.5, 10.40 at 1.0",
            metric="gkd_effnet",
            a=WHOLE,
            b=HALF,
            direction="higher",
            ratio=True,
            margin=0.05,
        ),
        Claim(
            text="a small fixed weight buys generation",
            published="",
            metric="gkd_effnet",
            a="lambda=0.01",
            b=NONE,
            direction="lower",
            ratio=True,
            margin=0.05,
        ),
    ),
)
