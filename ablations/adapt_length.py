"""How long must an adaptation be for its effect to be seen?"""

from __future__ import annotations

from dataclasses import replace

from davae.analysis.findings import Claim
from davae.core.experiment import Experiment
from davae.core.presets import without_alignment
from davae.sweep.ablation import Ablation, Arm

SHARES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Of an arm's adaptation; N_warm grows with it."""


def arms(base: Experiment) -> tuple[Arm, ...]:
    """Adaptations of several lengths, each with its own learning-rate schedule; an arm's length is
    the reference. From this on also from random layers and without alignment: whether those matter
    may depend on the length."""
    series = {
        "full": base,
        "random init": replace(base, adapt=replace(base.adapt, init="random")),
        "not aligned": replace(base, davae=without_alignment(base.davae)),
    }
    steps, warmup = base.adapt.train.steps, base.adapt.detail_warmup_steps
    found = []
    for name, e in series.items():
        for share in SHARES if e is base else SHARES[2:]:
            length = max(1, round(share * steps))
            adapt = replace(
                e.adapt, train=replace(e.adapt.train, steps=length),
                detail_warmup_steps=max(1, round(share * warmup)),
            )  # fmt: skip
            other = "" if e is base else f", {name}"
            found.append(
                Arm(
                    f"length x {share:g}{other}",
                    "steps of the adaptation",
                    float(length),
                    replace(e, adapt=adapt),
                    reference=share == 1.0 and e is base,
                    series=name,
                )
            )
    return tuple(found)


ABLATION = Ablation(
    name="adapt_length",
    question="How long must an adaptation be for its effect to be seen?",
    arms=arms,
    metrics={
        "detail_accuracy": "detail accuracy",
        "content_accuracy": "content accuracy",
        "gkd_effnet": "gKD",
        "flow_base": "held-out flow loss of the base channels",
        "flow_detail": "of the detail channels",
    },
    measured=("adapted_flow", "generation"),
    claims=(
        Claim(
            text="a longer adaptation is nearer to real images",
            published="ImageNet: FID-50k 6.04 after 25 epochs, 4.84 after 80",
            metric="gkd_effnet",
            a="length x 4",
            b="length x 1",
            direction="lower",
            ratio=True,
            margin=0.03,
        ),
        Claim(
            text="with 4 times the length zero-init is nearer to real images than random layers",
            published="Table 5: FID-10k 9.27 in full, 29.73 without zero-init (how, is not said)",
            metric="gkd_effnet",
            a="length x 4",
            b="length x 4, random init",
            direction="lower",
            ratio=True,
            margin=0.03,
        ),
        Claim(
            text="with 4 times the length alignment still costs detail",
            published="",
            metric="detail_accuracy",
            a="length x 4",
            b="length x 4, not aligned",
            direction="lower",
            margin=0.03,
        ),
        Claim(
            text="an arm's length shows more detail than a quarter of it",
            published="",
            metric="detail_accuracy",
            a="length x 1",
            b="length x 0.25",
            direction="higher",
            margin=0.03,
        ),
    ),
)
