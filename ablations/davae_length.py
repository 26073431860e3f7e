"""How long must a DA-VAE of an arm's own train, from the start that arms share?"""

from __future__ import annotations

from dataclasses import replace

from davae.analysis.findings import Claim
from davae.core.experiment import Experiment
from davae.sweep.ablation import Ablation, Arm

SHARES = (0.25, 0.5, 1.0, 2.0)
"""Of an arm's DA-VAE training."""


def arms(base: Experiment) -> tuple[Arm, ...]:
    """DA-VAEs of several lengths at the preset's weight; an arm's length is the reference."""
    steps = base.davae.train.steps
    found = []
    for share in SHARES:
        length = max(1, round(share * steps))
        davae = replace(base.davae, train=replace(base.davae.train, steps=length))
        found.append(
            Arm(f"length x {share:g}", "steps of the DA-VAE", float(length),
                replace(base, davae=davae), reference=share == 1.0)
        )  # fmt: skip
    return tuple(found)


ABLATION = Ablation(
    name="davae_length",
    question="How long must a DA-VAE of an arm's own train, from the start that arms share?",
    arms=arms,
    trains="davae_seeds",
    metrics={
        "psnr_db": "PSNR dB",
        "rkd_effnet": "rKD",
        "psnr_over_zeroed_db": "PSNR above zeroed detail, dB",
        "align_unexplained": "alignment loss",
        "detail_accuracy": "detail accuracy",
        "content_accuracy": "content accuracy",
        "gkd_effnet": "gKD",
    },
    claims=(
        Claim(
            text="twice an arm's length changes the reconstruction little",
            published="",
            metric="rkd_effnet",
            a="length x 2",
            b="length x 1",
            direction="equal",
            ratio=True,
            margin=0.1,
        ),
    ),
)
