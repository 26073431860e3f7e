"""What else can be had for the tokens and the training? (Tables 1 to 3, in small.)"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from ablations.components import PLAIN, RATES, at_rate
from davae.analysis.findings import Claim
from davae.analysis.plots import drawn
from davae.analysis.sweep_plots import means_figure
from davae.core.experiment import Experiment
from davae.sweep.ablation import Ablation, Arm

DAVAE, REGRESSED, NATIVE = "DA-VAE", "detail regressed from z", "native, 4 times the tokens"
LONGER, DECODED = "base enlarged, trained longer", "the same through the decoder without detail"
METHODS = {
    "base enlarged, as it is": "base_upsampled",
    LONGER: "control",
    DECODED: "control_decoded",
    NATIVE: "native",
    REGRESSED: "regressed",
}


def arms(base: Experiment) -> tuple[Arm, ...]:
    """The method, and what trains the same base model for as many FLOPs, each at the best of three
    learning rates (`learning_rate`): the controls at the lowest, the native model, like the
    adaptation, at the preset's. The regressor has the adaptation's."""
    found = {DAVAE: base}
    for name, method in METHODS.items():
        factor = RATES[PLAIN] if name in (LONGER, DECODED) else 1.0
        found[name] = replace(at_rate(base, factor), method=method)
    return tuple(
        Arm(name, "way", name, experiment, reference=name == DAVAE)
        for name, experiment in found.items()
    )


METRICS = {
    "detail_accuracy": "detail accuracy",
    "content_accuracy": "content accuracy",
    "gkd_effnet": "gKD",
    "okd_effnet": "KD to own reconstructions",
    "own_psnr_db": "PSNR dB of those",
    "own_detail_accuracy": "their detail accuracy",
    "own_content_accuracy": "their content accuracy",
    "sampling_img_per_s": "img/s, sampled here",
    "training_tflop": "training TFLOP",
}


def write(frame: pd.DataFrame, folder: Path) -> str:
    """The figure speed: quality over the images a second that were measured."""
    panels = {m: METRICS[m] for m in ("gkd_effnet", "detail_accuracy", "content_accuracy")}
    speed = "sampling_img_per_s"
    means_figure(drawn(folder, "speed"), frame, x=(speed, METRICS[speed]), panels=panels)
    return "\nThe figure “speed” has the images a second that were measured below.\n"


ABLATION = Ablation(
    name="tokens",
    question="What else can be had for the tokens and the training?",
    arms=arms,
    metrics=METRICS,
    write=write,
    pareto=("training_tflop", "gkd_effnet"),
    measured=("generation", "own_distance", "speed"),
    claims=(
        Claim(
            text="at equal tokens the DA-VAE shows detail that the base enlarged does not",
            published="Table 3: FID 10.91 against 12.04 at 512 px enlarged",
            metric="detail_accuracy",
            a=DAVAE,
            b=LONGER,
            direction="higher",
            margin=0.05,
        ),
        Claim(
            text="samples are closer to real images than those of the base enlarged",
            published="",
            metric="gkd_effnet",
            a=DAVAE,
            b=LONGER,
            direction="lower",
            ratio=True,
            margin=0.03,
        ),
        Claim(
            text="samples are closer to real images than the same latents decoded without detail",
            published="",
            metric="gkd_effnet",
            a=DAVAE,
            b=DECODED,
            direction="lower",
            ratio=True,
            margin=0.03,
        ),
        Claim(
            text="samples of the native model with 4 times the tokens are closer than the DA-VAE's",
            published="Table 3: FID 10.91 against 10.31 native",
            metric="gkd_effnet",
            a=NATIVE,
            b=DAVAE,
            direction="lower",
            ratio=True,
            margin=0.03,
        ),
        Claim(
            text="the DA-VAE shows more detail than a decoder without detail makes of the latents",
            published="",
            metric="detail_accuracy",
            a=DAVAE,
            b=DECODED,
            direction="higher",
            margin=0.05,
        ),
        Claim(
            text="detail cannot be regressed from z",
            published="",
            metric="detail_accuracy",
            a=DAVAE,
            b=REGRESSED,
            direction="higher",
            margin=0.05,
        ),
        Claim(
            text="the DA-VAE makes more images a second than the native model",
            kind="mechanism",
            published="Table 3: 1.03 img/s against 0.25",
            metric="sampling_img_per_s",
            a=DAVAE,
            b=NATIVE,
            direction="higher",
            ratio=True,
        ),
        Claim(
            text="the DA-VAE makes as many images a second as the base enlarged",
            kind="mechanism",
            published="Table 3: 1.03 img/s both",
            metric="sampling_img_per_s",
            a=DAVAE,
            b="base enlarged, as it is",
            direction="equal",
            ratio=True,
            margin=0.1,
        ),
        Claim(
            text="the DA-VAE's content is more often right than that of the base enlarged",
            published="Table 3: CLIP score 31.91 against 30.17",
            metric="content_accuracy",
            a=DAVAE,
            b="base enlarged, as it is",
            direction="higher",
            margin=0.03,
        ),
        Claim(
            text="the DA-VAE's content is more often right than the native model's",
            published="Table 3: CLIP score 31.91 against 29.74",
            metric="content_accuracy",
            a=DAVAE,
            b=NATIVE,
            direction="higher",
            margin=0.03,
        ),
        Claim(
            text="samples are closer to real images than those of the base as it is, enlarged",
            published="Table 3: FID 10.91 against 12.04 at 512 px enlarged",
            metric="gkd_effnet",
            a=DAVAE,
            b="base enlarged, as it is",
            direction="lower",
            ratio=True,
            margin=0.03,
        ),
        Claim(
            text="the DA-VAE keeps the content of the native model with 4 times the tokens",
            published="Table 3: GenEval 0.64 against 0.63 native",
            metric="content_accuracy",
            a=DAVAE,
            b=NATIVE,
            direction="equal",
            margin=0.03,
        ),
    ),
)
