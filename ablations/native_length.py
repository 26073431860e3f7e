"""Does the native model, with 4 times the tokens, lack steps? (Table 3.)"""

from __future__ import annotations

from dataclasses import replace

from ablations.tokens import DAVAE, NATIVE
from davae.analysis.findings import Claim
from davae.core.experiment import Experiment
from davae.sweep.ablation import Ablation, Arm

LONGER = 4
"""Times the adaptation of an arm, and what the native model trains for its FLOPs."""


def arms(base: Experiment) -> tuple[Arm, ...]:
    """The DA-VAE and the native model of `tokens`, and both trained longer, for as many FLOPs as
    each other."""
    train, warmup = base.adapt.train, base.adapt.detail_warmup_steps
    adapt = replace(
        base.adapt,
        train=replace(train, steps=LONGER * train.steps),
        detail_warmup_steps=LONGER * warmup,
    )
    return tuple(
        Arm(
            f"{name}{longer}",
            "times an arm's training",
            level,
            replace(e, method=e.method if name == DAVAE else "native"),
            reference=name == DAVAE and level == 1.0,
            series=name,
        )
        for longer, level, e in (
            ("", 1.0, base),
            (f", {LONGER} times as long", float(LONGER), replace(base, adapt=adapt)),
        )
        for name in (DAVAE, NATIVE)
    )


ABLATION = Ablation(
    name="native_length",
    question="Does the native model with 4 times the tokens lack steps?",
    arms=arms,
    metrics={
        "detail_accuracy": "detail accuracy",
        "content_accuracy": "content accuracy",
        "gkd_effnet": "gKD",
        "training_tflop": "training TFLOP",
    },
    measured=("generation",),
    claims=(
        Claim(
            text="with 4 times the training the native model is closer to real images than the "
            "DA-VAE",
            published="Table 3: FID 10.91 against 10.31 native",
            metric="gkd_effnet",
            a=f"{NATIVE}, {LONGER} times as long",
            b=f"{DAVAE}, {LONGER} times as long",
            direction="lower",
            ratio=True,
            margin=0.03,
        ),
        Claim(
            text="with 4 times the training the native model shows as much detail",
            published="",
            metric="detail_accuracy",
            a=f"{NATIVE}, {LONGER} times as long",
            b=f"{DAVAE}, {LONGER} times as long",
            direction="equal",
            margin=0.05,
        ),
        Claim(
            text="4 times the training brings the native model closer to real images",
            published="",
            metric="gkd_effnet",
            a=f"{NATIVE}, {LONGER} times as long",
            b=NATIVE,
            direction="lower",
            ratio=True,
            margin=0.03,
        ),
    ),
)
