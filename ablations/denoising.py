"""Should the base be denoised ahead of the detail? (Beyond the paper; GRACE, 2026.)"""

from __future__ import annotations

from dataclasses import replace

from davae.analysis.findings import Claim
from davae.core.experiment import Experiment
from davae.sweep.ablation import Ablation, Arm

LAGS = (0.0, 0.1, 0.25, 0.5)
SPREAD = 0.5
"""A model is trained on lags from 0 to this."""


def arms(base: Experiment) -> tuple[Arm, ...]:
    """The paper's joint denoising, and one model trained on lags, sampled at several: at 0 it
    shows what the training alone changes."""
    lagged = replace(base, adapt=replace(base.adapt, detail_lag=(0.0, SPREAD)))
    found = [Arm("joint", "lag of the detail", "joint", base, reference=True)]
    for lag in LAGS:
        e = replace(lagged, sample=replace(lagged.sample, detail_lag=lag))
        found.append(Arm(f"lag {lag:g}", "lag of the detail", f"{lag:g}", e))
    return tuple(found)


def ahead(metric: str, text: str, **about: float) -> Claim:
    """A lag of a quarter is better than joint denoising."""
    direction = "lower" if metric == "gkd_effnet" else "higher"
    return Claim(
        text=text, published="", metric=metric, a="lag 0.25", b="joint", direction=direction,
        ratio=metric == "gkd_effnet", **about,
    )  # fmt: skip


ABLATION = Ablation(
    name="denoising",
    question="Is it better to denoise the base ahead of the detail, in the same forwards?",
    arms=arms,
    metrics={
        "detail_accuracy": "detail accuracy",
        "content_accuracy": "content accuracy",
        "gkd_effnet": "gKD",
    },
    measured=("generation",),
    claims=(
        ahead("detail_accuracy", "detail that lags is right more often", margin=0.03),
        ahead("content_accuracy", "a base that goes ahead keeps more content", margin=0.03),
        ahead("gkd_effnet", "samples are closer to real images", margin=0.1),
    ),
)
