"""What an ablation is: a question, the arms that answer it, the metrics shown and the claims
judged."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from davae.analysis.findings import Claim
from davae.core.experiment import Experiment
from davae.core.hashing import digest
from davae.core.presets import ARMS, PRESETS
from davae.stages.graph import analyses, graph
from davae.stages.stage import Stage

Sidecars = dict[tuple[str, int], dict[str, Path]]
"""{(arm, seed): {role: file}}."""


@dataclass(frozen=True)
class Arm:
    """One setting of an ablation."""

    name: str
    factor: str
    level: float | str
    """A number, or the name of a category; categories keep the order in which arms are declared."""
    experiment: Experiment
    reference: bool = False
    """Whether this is the arm that the others are compared with."""
    series: str = ""
    """Arms of one series are one line of the figure, over the levels; empty where there is one."""

    def __post_init__(self) -> None:
        level = self.level.item() if isinstance(self.level, np.generic) else self.level
        if not isinstance(level, str) and not math.isfinite(level):
            raise ValueError(
                f"arm {self.name!r}: its level is {level}; give a finite number or a name"
            )
        object.__setattr__(self, "level", level)
        object.__setattr__(self, "reference", bool(self.reference))

    def stages(self) -> dict[str, Stage]:
        """Every stage that an ablation may measure, by role."""
        return {**graph(self.experiment), **analyses(self.experiment)}


@dataclass(frozen=True)
class Ablation:
    """A question, the arms that answer it, the metrics shown, and the claims judged."""

    name: str
    question: str
    arms: Callable[[Experiment], tuple[Arm, ...]]
    metrics: dict[str, str]
    """Metric to column title, in the order of table and figure."""
    claims: tuple[Claim, ...] = ()
    apart: bool = False
    """Whether each series has a figure of its own, the reference in all of them."""
    plotted: tuple[str, ...] = ()
    """Metrics of the figure; empty: all."""
    own_seeds: tuple[int, ...] = ()
    """Seeds that it runs at whatever is asked, as of a tuning whose seeds must not be used again;
    such an ablation is not among `--all`."""
    floors: dict[str, float] = field(default_factory=dict)
    """Metric to the value below which an arm's detail has collapsed: it is marked and no claim is
    judged on it."""
    pareto: tuple[str, ...] = ()
    """Two metrics whose front over the arms is shown, as of reconstruction and generation."""
    measured: tuple[str, ...] = ("reconstruction", "generation")
    """Roles of the stages whose values are recorded."""
    sidecars: dict[str, str] = field(default_factory=dict)
    """Role to the file of its artifact that is kept beside the records, to draw from."""
    draw: Callable[[Sidecars, Path], None] | None = None
    """Further figures from the sidecars, into a folder."""
    write: Callable[[pd.DataFrame, Path], str] | None = None
    """Further text from the records' rows, as Markdown, and figures into the folder."""
    trains: Literal["adapt", "davae", "davae_seeds"] = "adapt"
    """What arms train. adapt: a shorter adaptation on the preset's DA-VAE; davae: a DA-VAE of the
    arm's own before it, from a common start (`davae.core.presets.ARMS`), which its seeds share;
    davae_seeds: one for every seed."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w.-]*", self.name):
            raise ValueError(
                f"an ablation is called {self.name!r}; its folder is called so: give letters, "
                "digits, _, . and -"
            )
        for claim in self.claims:
            for metric in (claim.metric, claim.against):
                if metric and metric not in self.metrics:
                    raise ValueError(
                        f"{self.name}: the claim {claim.text!r} is of {metric}, which is not among "
                        f"its metrics: {', '.join(self.metrics)}"
                    )

    def base(self, preset: str) -> Experiment:
        """What `arms` is given; raises ValueError for an unknown preset."""
        if preset not in PRESETS:
            raise ValueError(f"there is no preset {preset!r}; presets: {', '.join(PRESETS)}")
        if preset not in ARMS:
            return PRESETS[preset]
        return getattr(ARMS[preset], self.trains)

    def undeclared(self, arms: Collection[str]) -> dict[Claim, str]:
        """Claims that name an arm which is not among these, and that name."""
        named = {claim: {claim.a, claim.b} - {*arms, ""} for claim in self.claims}
        return {claim: " and ".join(sorted(gone)) for claim, gone in named.items() if gone}

    def collapsed(self, frame: pd.DataFrame) -> dict[str, str]:
        """Arms whose mean over seeds lies below a floor, and how."""
        found: dict[str, str] = {}
        for metric, floor in self.floors.items():
            means = frame[frame["metric"] == metric].groupby("arm", sort=False)["value"].mean()
            for arm, mean in means[means < floor].items():
                found[str(arm)] = f"{self.metrics[metric]} {mean:.3g}, floor {floor:g}"
        return found

    def seeded(self, base: Experiment, seed: int) -> Experiment:
        """The experiment that arms start from at a seed."""
        return replace(base, seed=seed)

    def key(self, arm: Arm) -> str:
        """A digest of the experiment and of the keys of the stages measured: of their versions,
        too."""
        stages = arm.stages()
        return digest(
            [arm.experiment, [stages[role].key for role in self.measured if role in stages]]
        )
