"""How much alignment? (Table 4 of the paper, with fixed weights on the normalised loss.)"""

from __future__ import annotations

from dataclasses import replace

from davae.analysis.findings import Claim
from davae.core.experiment import Experiment
from davae.sweep.ablation import Ablation, Arm

LEVELS = (0.0, 0.01, 0.1)


def arms(base: Experiment) -> tuple[Arm, ...]:
    """One arm a fixed weight; without alignment is the reference."""
    weights = []
    for level in LEVELS:
        davae = replace(base.davae, align_weight=level, align_mode="fixed")
        experiment = replace(base, davae=davae)
        weights.append(
            Arm(f"lambda={level:g}", "align_weight", level, experiment, reference=level == 0.0)
        )
    return tuple(weights)


ABLATION = Ablation(
    name="align_weight",
    question="What does the weight of the alignment loss cost in reconstruction and buy in "
    "generation?",
    arms=arms,
    trains="davae",
    metrics={
        "psnr_db": "PSNR dB",
        "psnr_over_zeroed_db": "PSNR above zeroed detail, dB",
        "rkd_effnet": "rKD",
        "gkd_effnet": "gKD",
        "orthogonal_share": "orthogonal share",
        "align_unexplained": "alignment loss",
    },
    claims=(
        Claim(
            text="alignment costs reconstruction",
            published="Table 4: rFID 0.43 at 0, 0.54 at 1.0 (gradient-ratio weights)",
            metric="psnr_db",
            a="lambda=0.1",
            b="lambda=0",
            direction="lower",
        ),
        Claim(
            text="a moderate weight buys generation",
            published="Table 4: FID-10k 16.37 at 0, 9.27 at 0.5 (gradient-ratio weights)",
            metric="gkd_effnet",
            a="lambda=0.01",
            b="lambda=0",
            direction="lower",
        ),
        Claim(
            text="too much alignment costs generation",
            published="Table 4: FID-10k 9.27 at 0.5, 10.40 at 1.0",
            metric="gkd_effnet",
            a="lambda=0.1",
            b="lambda=0.01",
            direction="higher",
        ),
    ),
)
