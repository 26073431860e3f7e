"""What does the schedule of the detail's weight protect? (Eq. 12 and a row of Table 5.)"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from ablations.components import unscheduled
from davae.analysis.findings import Claim
from davae.analysis.plots import drawn
from davae.analysis.sweep_plots import by_step_figure
from davae.core.experiment import Experiment
from davae.sweep.ablation import Ablation, Arm, Sidecars

NONE = "none"
SHAPES = (NONE, "linear", "cosine", "step", "sigmoid")
WARMUPS = (0.1, 0.6, 1.0)
"""Shares of the adaptation that the cosine takes, beside the preset's own."""


def arms(base: Experiment) -> tuple[Arm, ...]:
    """Every shape at the preset's N_warm, and the cosine at others; w = 1 is the reference."""
    steps, own = base.adapt.train.steps, base.adapt.detail_warmup_steps
    found = []
    for shape in SHAPES:
        adapt = unscheduled(base.adapt) if shape == NONE else replace(base.adapt, schedule=shape)
        found.append(Arm(shape, "schedule", shape, replace(base, adapt=adapt), shape == NONE))
    for share in WARMUPS:
        adapt = replace(base.adapt, detail_warmup_steps=round(share * steps))
        name = f"cosine over {share:.0%}"
        if adapt.detail_warmup_steps != own:
            found.append(Arm(name, "schedule", name, replace(base, adapt=adapt)))
    return tuple(found)


def draw(files: Sidecars, folder: Path) -> None:
    """The figure flow: the held-out flow loss by step, what the schedule is there to protect."""
    curves = {key: pd.read_csv(roles["adapted_flow"]) for key, roles in files.items()}
    panels = {"flow_base": "base channels", "flow_detail": "detail channels"}
    by_step_figure(drawn(folder, "flow"), curves, panels)


ABLATION = Ablation(
    name="schedule",
    question="What does the schedule of the detail's weight protect?",
    arms=arms,
    metrics={
        "flow_base": "held-out flow loss of the base channels",
        "flow_detail": "of the detail channels",
        "flow_base_half": "of the base channels, after half of the adaptation",
        "content_accuracy": "content accuracy",
        "detail_accuracy": "detail accuracy",
        "gkd_effnet": "gKD",
    },
    measured=("adapted_flow", "generation"),
    sidecars={"adapted_flow": "curve.csv"},
    draw=draw,
    claims=(
        Claim(
            text="the schedule lowers the flow loss of the base channels at the end",
            published="Eq. 12 is there to protect the base",
            metric="flow_base",
            a="cosine",
            b=NONE,
            direction="lower",
            ratio=True,
            margin=0.005,
        ),
        Claim(
            text="the schedule lowers the flow loss of the base channels after half of it",
            published="Eq. 12 is there to protect the base",
            metric="flow_base_half",
            a="cosine",
            b=NONE,
            direction="lower",
            ratio=True,
            margin=0.005,
        ),
        Claim(
            text="without the schedule samples lose content",
            published="Table 5: FID-10k 9.27 in full, 9.80 without the schedule",
            metric="content_accuracy",
            a=NONE,
            b="cosine",
            direction="lower",
            margin=0.03,
        ),
        Claim(
            text="without the schedule samples are further from real images",
            published="Table 5: FID-10k 9.27 in full, 9.80 without the schedule",
            metric="gkd_effnet",
            a=NONE,
            b="cosine",
            direction="higher",
            ratio=True,
            margin=0.02,
        ),
    ),
)
