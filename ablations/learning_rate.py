"""Which learning rate suits an adaptation without one of the method's components, or a control?

Run on one seed that no other ablation uses; `components.RATES` holds what it chose."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from ablations import components, tokens
from davae.analysis.tables import to_markdown
from davae.core.experiment import Experiment
from davae.sweep.ablation import Ablation, Arm

FACTORS = (0.5, 1.0, 2.0)
"""Of the preset's learning rate."""
LOWER = dict.fromkeys((components.REPEAT, components.PLAIN), (0.125, 0.25, 0.5))
"""Of those that learn nothing new, which lose what the base model knows the faster they train."""
SEED = 1000
"""Not used by any other ablation."""
METRICS = {m: components.METRICS[m] for m in ("detail_accuracy", "content_accuracy")}
"""What chooses a rate: facts, of which one is what an adaptation adds and one what it may lose."""


def arms(base: Experiment) -> tuple[Arm, ...]:
    """Every arm of `components`, and the native model of `tokens`, at each of three rates."""
    native = replace(base, method=tokens.METHODS[tokens.NATIVE])
    tuned = (*components.at_one_rate(base), Arm(tokens.NATIVE, "way", tokens.NATIVE, native))
    return tuple(
        Arm(
            f"{arm.name}, x {factor:g}",
            "learning rate over the preset's",
            factor,
            components.at_rate(arm.experiment, factor),
            reference=arm.reference and factor == 1.0,
            series=arm.name,
        )
        for arm in tuned
        for factor in LOWER.get(arm.name, FACTORS)
    )


def write(frame: pd.DataFrame, folder: Path) -> str:
    """The best rate of every series, by the product of detail and content accuracy."""
    if not set(METRICS) <= set(frame["metric"]):
        return ""
    wide = frame.pivot_table(index=["series", "level"], columns="metric", values="value")
    score = (wide["detail_accuracy"] * wide["content_accuracy"]).rename("detail x content")
    best = score.reset_index().sort_values("detail x content").groupby("series", sort=False).tail(1)
    lowest = wide.reset_index().groupby("series")["level"].min()
    edge = best[best["level"] == best["series"].map(lowest)]
    note = (
        f"\nBest at the lowest that was tried: {', '.join(edge['series'])}.\n" if len(edge) else ""
    )
    return f"\nBest by detail accuracy x content accuracy:\n\n{to_markdown(best)}{note}"


ABLATION = Ablation(
    name="learning_rate",
    question="Which learning rate suits an adaptation without one of the components, or a control?",
    arms=arms,
    metrics=METRICS,
    measured=("generation",),
    own_seeds=(SEED,),
    write=write,
)
