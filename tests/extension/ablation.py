"""An ablation of one's own, over a categorical factor."""

from dataclasses import replace

from davae.sweep.ablation import Ablation, Arm


def arms(base):
    levels = {"noise first": "noise", "adapted after": "davae"}
    narrow = replace(base, base_dit=replace(base.base_dit, family="narrow"))
    return tuple(Arm(n, "way", n, replace(narrow, method=m)) for n, m in levels.items())


ABLATION = Ablation(
    name="ways",
    question="Which way is better?",
    arms=arms,
    metrics={"gkd_effnet": "gKD", "gspread_effnet": "spread", "gkd_grey": "grey gKD"},
    measured=("generation",),
)
