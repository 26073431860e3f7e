"""How should the new layers start? (Fig. 4 and the row without zero-init of Table 5.)"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from davae.analysis.findings import Claim
from davae.analysis.plots import drawn
from davae.analysis.sweep_plots import by_step_figure
from davae.analysis.tables import to_markdown
from davae.core.experiment import Experiment
from davae.sweep.ablation import Ablation, Arm, Sidecars

INITS = ("zero", "random", "random_in", "random_out", "repeat", "reset", "scratch")
SHARES = (16, 8, 4, 2, 1)
"""Quality is measured after 1/16, 1/8, ... of the adaptation, as the averaged weights are then."""


def arms(base: Experiment) -> tuple[Arm, ...]:
    """Every init at every share of one adaptation; the paper's at its end is the reference. What is
    measured before the end is judged by the first extractor alone: claims on it are of facts."""
    steps = base.adapt.train.steps
    snapshots = tuple(n for n in (steps // share for share in SHARES[:-1]) if n)
    found = []
    for init in INITS:
        train = replace(base.adapt.train, snapshots=tuple(dict.fromkeys(snapshots)))
        e = replace(base, adapt=replace(base.adapt, init=init, train=train))
        early = replace(e, eval=replace(e.eval, also=()))
        for share in SHARES:
            step = steps // share if share > 1 else 0
            if share > 1 and not step:
                continue  # a training shorter than the share
            found.append(
                Arm(
                    init if share == 1 else f"{init} at 1/{share}",
                    "share of the adaptation",
                    1 / share,
                    replace(early, snapshot_step=step) if step else e,
                    reference=(init, share) == ("zero", 1),
                    series=init,
                )
            )
    return tuple(found)


def lower(other: str, metric: str, text: str, published: str = "") -> Claim:
    """`other` is below the paper's init at the end."""
    return Claim(
        text=text, published=published, metric=metric, a=other, b="zero", direction="lower",
        margin=0.03,
    )  # fmt: skip


def ahead_early(other: str) -> tuple[Claim, ...]:
    """The paper's init is ahead of another one in content after a quarter of the training, in
    detail, which comes later, after half."""

    def ahead(share: str, metric: str, text: str) -> Claim:
        return Claim(
            text=f"zero-init is ahead of {other} in {text}", metric=metric, margin=0.03,
            published="Fig. 4: zero-init converges faster", a=f"zero at {share}",
            b=f"{other} at {share}", direction="higher",
        )  # fmt: skip

    return (
        ahead("1/4", "content_accuracy", "content after a quarter of the adaptation"),
        ahead("1/2", "detail_accuracy", "detail after half of it"),
    )


STATED = {"detail_accuracy": 0.5, "content_accuracy": 0.6}
"""Qualities whose first share of the training is listed."""


def write(frame: pd.DataFrame, folder: Path) -> str:
    """At which share of the adaptation each init first reaches the stated quality, over the seeds
    that were measured at every share."""
    rows, measured = [], frame["level"].nunique()
    for series in frame["series"].unique():
        row: dict[str, object] = {"init": series}
        for metric, least in STATED.items():
            part = frame[(frame["series"] == series) & (frame["metric"] == metric)]
            shares = [
                values.loc[values["value"] >= least, "level"].astype(float).min()
                for _, values in part.groupby("seed")
                if len(values) == measured
            ]
            if not shares:
                row[f"{metric} {least:g}"] = "–"
                continue
            reached = sorted(share for share in shares if share == share)
            missed = len(shares) - len(reached)
            text = f"{reached[0]:g} to {reached[-1]:g}" if reached else "never"
            row[f"{metric} {least:g}"] = (
                f"{text}, {missed} seeds never" if reached and missed else text
            )
        rows.append(row)
    table = to_markdown(pd.DataFrame(rows))
    return f"\nFirst share of the adaptation at which seeds reach:\n\n{table}"


def draw(files: Sidecars, folder: Path) -> None:
    """The figure flow: the held-out flow loss by step, from before any training on."""
    curves = {
        key: pd.read_csv(roles["adapted_flow"]) for key, roles in files.items() if key[0] in INITS
    }
    panels = {"flow_base": "base channels", "flow_detail": "detail channels"}
    by_step_figure(drawn(folder, "flow"), curves, panels, first=0)


ABLATION = Ablation(
    name="init",
    question="Does the zero initialisation of the new layers matter, and when in training?",
    arms=arms,
    metrics={
        "detail_accuracy": "detail accuracy",
        "content_accuracy": "content accuracy",
        "gkd_effnet": "gKD",
        "flow_base": "held-out flow loss of the base channels, at the end",
        "flow_detail": "of the detail channels",
    },
    measured=("adapted_flow", "generation"),
    plotted=("detail_accuracy", "content_accuracy", "gkd_effnet"),
    sidecars={"adapted_flow": "curve.csv"},
    draw=draw,
    write=write,
    claims=(
        lower(
            "random",
            "content_accuracy",
            "random new layers cost content",
            "Table 5: FID-10k 9.27 in full, 29.73 without zero-init (how, is not said)",
        ),
        lower("random", "detail_accuracy", "random new layers cost detail"),
        lower("repeat", "detail_accuracy", "tiled new layers cost detail"),
        lower("reset", "content_accuracy", "losing the base layers costs content"),
        *ahead_early("random"),
        *ahead_early("scratch"),
        Claim(
            text="starting from the pretrained model is ahead of starting from scratch",
            published="FID-10k 9.27 adapted, 31.51 from scratch",
            metric="content_accuracy",
            a="zero",
            b="scratch",
            direction="higher",
            margin=0.03,
        ),
    ),
)
