"""How many detail channels?"""

from __future__ import annotations

from dataclasses import replace

from davae.analysis.findings import Claim
from davae.core.experiment import Experiment
from davae.core.presets import without_alignment
from davae.sweep.ablation import Ablation, Arm

FACTORS = (1.0, 1.5, 2.0, 3.0, 4.0, 7.0)
"""D / C; one and a half divides no channels evenly."""


def arms(base: Experiment) -> tuple[Arm, ...]:
    """Every D without alignment and with the preset's weight; the decoder's widths stay."""
    found = []
    plain = without_alignment(base.davae)
    for series, davae in {"not aligned": plain, "aligned": base.davae}.items():
        for factor in FACTORS:
            channels = round(factor * base.base_vae.latent_channels)
            name = f"D = {channels}, {series}"
            found.append(
                Arm(
                    name,
                    "D",
                    float(channels),
                    replace(base, davae=replace(davae, detail_channels=channels)),
                    reference=factor == 3.0 and davae is plain,
                    series=series,
                )
            )
    return tuple(found)


ABLATION = Ablation(
    name="channels",
    question="How many detail channels, and does alignment change the answer?",
    arms=arms,
    trains="davae",
    metrics={
        "psnr_db": "PSNR dB",
        "psnr_over_zeroed_db": "PSNR above zeroed detail, dB",
        "orthogonal_share": "orthogonal share",
        "detail_accuracy": "detail accuracy",
        "content_accuracy": "content accuracy",
        "gkd_effnet": "gKD",
    },
    claims=(
        Claim(
            text="more channels are harder to generate",
            published="",
            metric="gkd_effnet",
            a="D = 28, not aligned",
            b="D = 12, not aligned",
            direction="higher",
            ratio=True,
            margin=0.03,
        ),
        Claim(
            text="alignment makes many channels easier to generate",
            published="",
            metric="gkd_effnet",
            a="D = 28, aligned",
            b="D = 28, not aligned",
            direction="lower",
            ratio=True,
            margin=0.03,
        ),
    ),
)
