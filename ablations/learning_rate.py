"""Which learning rate suits an adaptation without one of the method's components?

Run on one seed that no other ablation uses; `components.RATES` holds what it chose."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ablations import components
from davae.analysis.tables import to_markdown
from davae.core.experiment import Experiment
from davae.sweep.ablation import Ablation, Arm

FACTORS = (0.5, 1.0, 2.0)
"""Of the preset's learning rate."""
SEED = 1000
"""Not used by any other ablation."""


def arms(base: Experiment) -> tuple[Arm, ...]:
    """Every arm of `components` at each learning rate."""
    return tuple(
        Arm(
            f"{arm.name}, x {factor:g}",
            "learning rate over the preset's",
            factor,
            components.at_rate(arm.experiment, factor),
            reference=arm.reference and factor == 1.0,
            series=arm.name,
        )
        for arm in components.at_one_rate(base)
        for factor in FACTORS
    )


def write(frame: pd.DataFrame, folder: Path) -> str:
    """The best rate of every series, by the product of detail and content accuracy."""
    if not {"detail_accuracy", "content_accuracy"} <= set(frame["metric"]):
        return ""
    wide = frame.pivot_table(index=["series", "level"], columns="metric", values="value")
    score = (wide["detail_accuracy"] * wide["content_accuracy"]).rename("detail x content")
    best = score.reset_index().sort_values("detail x content").groupby("series", sort=False).tail(1)
    return f"\nBest by detail accuracy x content accuracy:\n\n{to_markdown(best)}"


ABLATION = Ablation(
    name="learning_rate",
    question="Which learning rate suits an adaptation without one of the components?",
    arms=arms,
    metrics=components.METRICS,
    measured=("generation",),
    own_seeds=(SEED,),
    write=write,
)
