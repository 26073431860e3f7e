"""Which alignment?"""

from __future__ import annotations

from dataclasses import replace

from davae.analysis.findings import Claim
from davae.core.experiment import Experiment
from davae.core.presets import without_alignment
from davae.sweep.ablation import Ablation, Arm

METHODS = {
    "group mean": "group_mean",
    "learned projection": "learned",
    "cosine and distances": "cosine_distance",
    "generation-aware": "generation",
}
NONE = "none"


def arms(base: Experiment) -> tuple[Arm, ...]:
    """No alignment, the reference, and each method at one gradient ratio, so that the scales of
    their losses do not matter."""
    plain = replace(base, davae=without_alignment(base.davae))
    found = [Arm(NONE, "alignment", NONE, plain, reference=True)]
    for name, method in METHODS.items():
        davae = replace(
            base.davae, align_method=method, align_weight=RATIO, align_mode="gradient_ratio"
        )
        found.append(Arm(name, "alignment", name, replace(base, davae=davae)))
    return tuple(found)


RATIO = 0.5
"""Of the alignment's gradient norm to the reconstruction's."""
ABLATION = Ablation(
    name="align_method",
    question="Does it matter how the detail is aligned?",
    arms=arms,
    trains="davae",
    metrics={
        "psnr_db": "PSNR dB",
        "psnr_over_zeroed_db": "PSNR above zeroed detail, dB",
        "align_unexplained": "z unexplained by group means",
        "detail_accuracy": "detail accuracy",
        "content_accuracy": "content accuracy",
        "gkd_effnet": "gKD",
    },
    claims=tuple(
        Claim(
            text=f"{name} brings generation nearer than no alignment",
            published="",
            metric="gkd_effnet",
            a=name,
            b=NONE,
            direction="lower",
            ratio=True,
            margin=0.05,
        )
        for name in METHODS
    ),
)
