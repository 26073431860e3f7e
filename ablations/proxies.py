"""Which cheap measure of a latent space foretells generation, without a transformer's training?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from ablations import align_method, align_weight, channels
from davae.analysis.plots import drawn
from davae.analysis.ranks import LEAST, rank_correlation
from davae.analysis.stats import LEVEL, Interval, holm
from davae.analysis.sweep_plots import ranks_figure
from davae.analysis.tables import extractor_of, to_markdown
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


def means_of(frame: pd.DataFrame, metric: str) -> list[pd.Series]:
    """Means over seeds by arm, one for each network that judges the metric, the first one's
    first."""
    rows = frame[frame["metric"] == metric]
    judged = rows.groupby(extractor_of(rows["protocol"]), sort=False)
    return [part.groupby("arm")["value"].mean() for _, part in judged]


def correlated(measure: pd.Series, quality: pd.Series) -> Interval | None:
    """Their rank correlation over the arms that have both; None where these are too few or one of
    the two is alike in all."""
    both = pd.concat([measure, quality], axis=1).dropna()
    if len(both) < 3 or (both.nunique() < 2).any():
        return None
    return rank_correlation(both.iloc[:, 0], both.iloc[:, 1])


def write(frame: pd.DataFrame, folder: Path) -> str:
    """Rank correlations over arms, of their means over seeds, as a table and the figure ranks."""
    found: dict[tuple[str, str], Interval] = {}
    others: dict[tuple[str, str], list[float]] = {}
    for proxy, title in PROXIES.items():
        for quality, of in GENERATION.items():
            first = means_of(frame, proxy)[:1]
            by = [correlated(*first, judged) for judged in means_of(frame, quality) if first]
            if by and by[0] is not None:
                found[title, of] = by[0]
                others[title, of] = [other.mean for other in by[1:] if other is not None]
    if not found:
        return ""
    adjusted = dict(zip(found, holm([one.p for one in found.values()]), strict=True))
    rows = [
        {
            "measure": title, "generation": of, "rank correlation": one.mean,
            "95% interval": one.text() if one.n >= LEAST else "–", "arms": one.n,
            "p": adjusted[title, of],
            "orders them": "yes" if adjusted[title, of] < LEVEL else "not surely",
            "other networks": ", ".join(f"{value:.2f}" for value in others[title, of]) or "–",
        }
        for (title, of), one in found.items()
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    table.to_csv(folder / "proxies.csv", index=False)
    sure = {pair for pair, p in adjusted.items() if p < LEVEL}
    ranks_figure(drawn(folder, "ranks"), found, sure, others)
    note = (
        "Rank correlations over arms (Spearman) of means over seeds, Holm-adjusted over the table, "
        "with samples judged by the first network; the last column has those with the others' gKD. "
        "Arms of one ablation resemble each other, so that intervals are rather too narrow. Flow "
        "losses compare arms of several autoencoders here, as a proxy only."
    )
    return f"\n{to_markdown(table)}\n{note}\n"


ABLATION = Ablation(
    name="proxies",
    question="Which cheap measure of a latent space foretells generation?",
    arms=arms,
    trains="davae",
    metrics={**PROXIES, **GENERATION},
    plotted=tuple(GENERATION),
    measured=(
        "reconstruction", "structure", "spectrum", "proxies", "adapted_flow", "generation",
    ),
    write=write,
)  # fmt: skip
