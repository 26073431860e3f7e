"""Does a judge that learnt from captions order samples as those do that learnt from photographs?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from ablations import components, tokens
from davae.analysis.plots import drawn
from davae.analysis.ranks import agreement
from davae.analysis.sweep_plots import means_figure
from davae.core.experiment import Experiment
from davae.stages.stage import Stage
from davae.stages.tower import tower_stage
from davae.sweep.ablation import Ablation, Arm
from davae.train.clip import ClipConfig

SOURCES = (components, tokens)
"""Ablations of adaptations on one DA-VAE, which claim something of distances."""
SAME = {tokens.DAVAE: components.FULL, tokens.DECODED: components.PLAIN}
"""What the second calls an arm that both have."""
FIRST, TOWER = "gkd_effnet", "gkd_clip_tiny"
METRICS = {FIRST: "gKD", TOWER: "gKD on the image tower of clip_tiny"}


@dataclass(frozen=True)
class JudgedArm(Arm):
    """An arm that the tower judges, too."""

    def stages(self) -> dict[str, Stage]:
        """With the tower's distance. The tower trains for its own steps, or the base model's where
        these are fewer, as at smoke."""
        found, clip = super().stages(), ClipConfig()
        steps = min(clip.train.steps, self.experiment.base_dit.train.steps)
        short = replace(clip, train=replace(clip.train, steps=steps))
        return {**found, "tower_distance": tower_stage(self.experiment, found, short)}


def arms(base: Experiment) -> tuple[Arm, ...]:
    """Theirs, each once: nothing else is trained where they have run."""
    found: dict[str, Arm] = {}
    for module in SOURCES:
        for arm in module.arms(base):
            name = SAME.get(arm.name, arm.name)
            judged = JudgedArm(name, "arm", name, arm.experiment, name == components.FULL)
            found.setdefault(name, judged)
    return tuple(found.values())


def write(frame: pd.DataFrame, folder: Path) -> str:
    """Whether each other network orders the arms as the tower does; the figure towers."""
    panels = {TOWER: METRICS[TOWER]}
    means_figure(drawn(folder, "towers"), frame, x=(FIRST, METRICS[FIRST]), panels=panels)
    tower = frame["metric"] == TOWER
    both = pd.concat([frame[tower], frame[~tower]]).assign(metric="gKD")
    return "".join(f"\n{sentence}\n" for sentence in agreement(both))


ABLATION = Ablation(
    name="clip_judge",
    question="Does the image tower of a CLIP judge distances as the other networks do?",
    arms=arms,
    metrics=METRICS,
    measured=("generation", "tower_distance"),
    write=write,
    claims=tuple(
        replace(claim, metric=TOWER, a=SAME.get(claim.a, claim.a), b=SAME.get(claim.b, claim.b))
        for module in SOURCES
        for claim in module.ABLATION.claims
        if claim.metric == FIRST
    ),
)
