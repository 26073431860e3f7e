"""What does alignment make of the detail latent? (Fig. 3, S2 and S5 of the paper.)"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from davae.analysis.findings import Claim
from davae.analysis.plots import drawn, embedding_rows, spectra_figure
from davae.core.experiment import Experiment
from davae.core.presets import without_alignment
from davae.sweep.ablation import Ablation, Arm

ALIGNED, PLAIN = "aligned", "not aligned"
SPACES = {"z": "base z", "z_d": "detail z_d", "z_d_residual": "z_d without its regression on z"}
COMPANIONS = {
    "silhouette": "silhouette",
    "knn_purity": "kNN purity",
    "probe_accuracy": "linear probe",
    "cka": "CKA with z",
    "effective_rank": "effective rank",
    "variation": "density CV",
    "gini": "density Gini",
    "entropy": "density entropy",
    "stability": "t-SNE stability",
}


def arms(base: Experiment) -> tuple[Arm, ...]:
    """The preset's alignment weight, and none."""
    if not base.davae.align_weight:
        raise ValueError(
            "the base experiment has align_weight 0; this ablation needs one with alignment"
        )
    plain = replace(base, davae=without_alignment(base.davae))
    return (
        Arm(PLAIN, "align_weight", 0.0, plain, reference=True),
        Arm(ALIGNED, "align_weight", base.davae.align_weight, base),
    )


def draw(files: dict[tuple[str, int], dict[str, Path]], folder: Path) -> None:
    """tsne.png of the first seed and spectrum.png of all seeds, from the sidecars."""
    first = min(seed for _, seed in files)
    names = sorted({arm for arm, _ in files}, reverse=True)
    stored = {
        arm: np.load(files[arm, first]["structure"]) for arm in names if (arm, first) in files
    }
    labels, classes = (next(iter(stored.values()))[k] for k in ("labels", "classes"))
    rows = {
        arm: {title: content[space] for space, title in SPACES.items() if space in content}
        for arm, content in stored.items()
    }
    embedding_rows(drawn(folder, "tsne"), rows, labels, list(classes))
    panels = {
        arm: [dict(np.load(f["spectrum"])) for (a, _), f in sorted(files.items()) if a == arm]
        for arm in names
    }
    spectra_figure(drawn(folder, "spectrum"), panels, SPACES)


ABLATION = Ablation(
    name="latent_structure",
    question="What does alignment make of the detail latent, and what does the decoder make of it?",
    arms=arms,
    trains="davae_seeds",
    metrics={
        "psnr_db": "PSNR dB: real detail",
        "psnr_zeroed_db": "PSNR dB: zeroed",
        "psnr_random_db": "PSNR dB: randomised",
        "psnr_exchanged_db": "PSNR dB: of another crop",
        "psnr_over_zeroed_db": "PSNR dB: real - zeroed",
        "psnr_over_random_db": "PSNR dB: real - randomised",
        "psnr_over_exchanged_db": "PSNR dB: real - of another crop",
        "orthogonal_share": "orthogonal share",
        "align_unexplained": "alignment loss",
        **{f"{m}_{s}": f"{title}: {s}" for m, title in COMPANIONS.items() for s in SPACES},
        **{f"high_frequency_{s}": f"high-frequency share: {s}" for s in SPACES},
        "high_frequency_excess": "high-frequency share: z_d - z",
    },
    claims=(
        Claim(
            text="z_d shows more class structure with alignment",
            published="Fig. 3: class structure in the t-SNE of z_d with alignment, none without",
            metric="knn_purity_z_d",
            a=ALIGNED,
            b=PLAIN,
            direction="higher",
            margin=0.02,
        ),
        Claim(
            text="the part of z_d that is no linear function of z shows more class structure, too",
            published="",
            metric="knn_purity_z_d_residual",
            a=ALIGNED,
            b=PLAIN,
            direction="higher",
            margin=0.02,
        ),
        Claim(
            text="the classes of z_d lie further apart with alignment",
            published="Fig. 3",
            metric="silhouette_z_d",
            a=ALIGNED,
            b=PLAIN,
            direction="higher",
            margin=0.02,
        ),
        Claim(
            text="randomising it costs PSNR",
            kind="mechanism",
            published="Fig. S2, which gives no PSNR",
            metric="psnr_over_random_db",
            a=ALIGNED,
            b="",
            direction="higher",
        ),
        Claim(
            text="the detail holds more high-frequency power than the base latent",
            published="Fig. S5",
            metric="high_frequency_excess",
            a=ALIGNED,
            b="",
            direction="higher",
            margin=0.02,
        ),
    ),
    measured=("reconstruction", "structure", "spectrum"),
    plotted=(
        "psnr_db",
        "psnr_over_zeroed_db",
        "psnr_over_random_db",
        "knn_purity_z_d",
        "knn_purity_z_d_residual",
        "silhouette_z_d",
        "cka_z_d",
        "effective_rank_z_d",
        "high_frequency_excess",
    ),
    sidecars={"structure": "embeddings.npz", "spectrum": "spectra.npz"},
    draw=draw,
)
