"""Which cheap measure of a latent space foretells generation, without a transformer's training?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from ablations import align_method, align_weight, channels
from davae.analysis.ranks import LEAST, rank_correlation
from davae.analysis.stats import LEVEL, holm
from davae.analysis.tables import of_first_extractor, to_markdown
from davae.core.experiment import Experiment
from davae.sweep.ablation import Ablation, Arm

SOURCES = (align_weight, channels, align_method)
"""Ablations whose arms differ in the autoencoder."""
PROXIES = {
    "knn_purity_z_d": "kNN purity of z_d",
    "cka_z_d": "CKA of z_d with z",
    "effective_rank_z_d": "effective rank of z_d",
    "variation_z_d": "density variation of z_d (uniformity)",
    "high_frequency_z_d": "high-frequency share of z_d",
    "rkd_effnet": "rKD",
    "flow_base_half": "flow loss of the base channels after half of the adaptation",
    "flow_detail_half": "flow loss of the detail channels after half of it",
    "spatial_structure": "spatial structure",
    "local_change": "local change of the decoded",
    "global_semantics": "global semantics",
}
GENERATION = {
    "detail_accuracy": "detail accuracy",
    "content_accuracy": "content accuracy",
    "gkd_effnet": "gKD",
}


def arms(base: Experiment) -> tuple[Arm, ...]:
    """The arms of the ablations of the autoencoder, each experiment once."""
    found: dict[Experiment, Arm] = {}
    for module in SOURCES:
        ablation = module.ABLATION
        for arm in ablation.arms(base):
            name = f"{ablation.name}: {arm.name}"
            found.setdefault(
                arm.experiment,
                replace(arm, name=name, factor="arm", level=name, reference=False, series=""),
            )
    first, *others = found.values()
    return (replace(first, reference=True), *others)


def write(frame: pd.DataFrame, folder: Path) -> str:
    """Rank correlations over arms, of their means over seeds."""
    means = of_first_extractor(frame).groupby(["arm", "metric"])["value"].mean()
    wide = means.unstack("metric")
    rows = []
    for proxy, title in PROXIES.items():
        for quality, of in GENERATION.items():
            both = wide.reindex(columns=[proxy, quality]).dropna()
            if len(both) < 3 or (both.nunique() < 2).any():
                continue  # not measured, or alike in all arms
            found = rank_correlation(both[proxy], both[quality])
            rows.append(
                {
                    "measure": title, "generation": of, "rank correlation": found.mean,
                    "95% interval": found.text() if found.n >= LEAST else "–", "arms": found.n,
                    "p": found.p,
                }
            )  # fmt: skip
    if not rows:
        return ""
    for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row |= {"p": p, "orders them": "yes" if p < LEVEL else "not surely"}
    table = pd.DataFrame(rows)
    table.to_csv(folder / "proxies.csv", index=False)
    note = (
        "Rank correlations over arms (Spearman) of means over seeds, Holm-adjusted over the table; "
        "arms of one ablation resemble each other, so that intervals are rather too narrow. Flow "
        "losses compare arms of several autoencoders here, as a proxy only."
    )
    return f"\n{to_markdown(table)}\n{note}\n"


ABLATION = Ablation(
    name="proxies",
    question="Which cheap measure of a latent space foretells generation?",
    arms=arms,
    trains="davae",
    metrics={**PROXIES, **GENERATION},
    measured=(
        "reconstruction", "structure", "spectrum", "proxies", "adapted_flow", "generation",
    ),
    write=write,
)  # fmt: skip
