"""`davae base`: the models that the repository ships, trained in resumable stages."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from davae.core.experiment import Experiment
from davae.core.store import LOG
from davae.stages.graph import graph
from davae.stages.stage import Pipeline, Stage

LEFT = ("*.lock", "scratch.*")
KEPT = 1_000


def shipped_stages(e: Experiment, base_seeds: tuple[int, ...]) -> dict[str, Stage]:
    """The autoencoders of the experiment, a base DiT for each base seed, the DA-VAE without
    alignment that arms of ablations start theirs from, and the VAE of the native model.

    Raises ValueError where their weights would not be rounded, so that files are twice as large.
    """
    for name, train in (
        ("base_vae", e.base_vae.train),
        ("davae", e.davae.train),
        ("base_dit", e.base_dit.train),
    ):
        if not train.round_weights:
            raise ValueError(f"{name}.train.round_weights is off; shipped models are rounded")
    stages = graph(e)
    base_dits = {
        f"base_dit{seed}": graph(replace(e, base_seed=seed))["base_dit"] for seed in base_seeds
    }
    autoencoders = {role: stages[role] for role in ("base_vae", "davae")}
    plain = replace(e.davae, align_weight=0.0, align_mode="fixed")
    others = {
        "no_detail_decoder": stages["no_detail_decoder"],
        "start": graph(replace(e, davae=plain))["davae"],
        "native_vae": graph(replace(e, method="native"))["native_vae"],
    }
    return autoencoders | base_dits | others


def make_base(e: Experiment, base_seeds: tuple[int, ...], pipeline: Pipeline, to: Path) -> Path:
    """Train what is not there yet and copy it below `to`; nothing there is overwritten."""
    for role, stage in shipped_stages(e, base_seeds).items():
        pipeline.announce(f"{role}: {stage.name} {stage.key}")
        folder = pipeline.path(stage)
        target = to / stage.name / stage.key
        if not target.exists():
            shutil.copytree(folder, target, ignore=shutil.ignore_patterns(*LEFT))
            thin(target / LOG)
    return to


def thin(log: Path) -> None:
    """Keep the lines of a training log with held-out figures, and about KEPT of the others."""
    lines = log.read_text().splitlines()
    stride = max(1, len(lines) // KEPT)
    kept = [line for i, line in enumerate(lines) if '"eval/' in line or i % stride == 0]
    log.write_text("\n".join(kept) + "\n")
