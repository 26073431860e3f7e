"""What does classifier-free guidance do to content and to detail?"""

from __future__ import annotations

from dataclasses import replace

from davae.analysis.findings import Claim
from davae.core.experiment import Experiment, SampleConfig
from davae.sweep.ablation import Ablation, Arm

SCALES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)


def at_scale(sample: SampleConfig, scale: float) -> SampleConfig:
    """The sampling at a scale; 1 is none, which has no interval."""
    interval = (0.0, 1.0) if scale == 1.0 else sample.guidance_interval
    return replace(sample, guidance_scale=scale, guidance_interval=interval)


def arms(base: Experiment) -> tuple[Arm, ...]:
    """One adapted model sampled at each scale, on all channels; scale 1 is the reference."""
    return tuple(
        Arm(
            f"scale {scale:g}",
            "guidance scale",
            scale,
            replace(base, sample=at_scale(base.sample, scale)),
            reference=scale == 1.0,
        )
        for scale in SCALES
    )


ABLATION = Ablation(
    name="guidance",
    question="What does classifier-free guidance do to content and to detail?",
    arms=arms,
    trains="samples",
    metrics={
        "content_accuracy": "content accuracy",
        "detail_accuracy": "detail accuracy",
        "gkd_effnet": "gKD",
    },
    measured=("generation",),
    claims=(
        Claim(
            text="guidance brings samples nearer to real images",
            published="",
            metric="gkd_effnet",
            a="scale 3",
            b="scale 1",
            direction="lower",
            ratio=True,
            margin=0.05,
        ),
        Claim(
            text="guidance makes more samples show the content of their class",
            published="",
            metric="content_accuracy",
            a="scale 3",
            b="scale 1",
            direction="higher",
            margin=0.03,
        ),
        Claim(
            text="guidance makes more samples show the detail of their class",
            published="",
            metric="detail_accuracy",
            a="scale 3",
            b="scale 1",
            direction="higher",
            margin=0.03,
        ),
    ),
)
