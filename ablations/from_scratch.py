"""Is an autoencoder of as many channels with a transformer of its own as good? (Tables 1 to 3.)"""

from __future__ import annotations

from dataclasses import replace

from ablations.components import unscheduled
from ablations.tokens import DAVAE, METRICS
from davae.analysis.findings import Claim
from davae.core.experiment import BaseVAEConfig, Experiment, TrainConfig
from davae.stages.methods import with_losses_of
from davae.sweep.ablation import Ablation, Arm

SCRATCH, SCRATCH_TOTAL = "f8 from scratch, adaptation's steps", "f8 from scratch, all steps"
WIDENED_SCRATCH = "DA-VAE latents, from scratch"
LONGEST = 25
"""Where an autoencoder or a transformer would train more than so many times the adaptation's steps,
as at smoke, its arms are left out."""


def arms(base: Experiment) -> tuple[Arm, ...]:
    """The method, a transformer from scratch on its latents, and an unstructured autoencoder of as
    many channels on the same grid with a transformer of its own (the way of DC-AE): for the
    adaptation's steps, and for those of the base model and the adaptation together. From scratch
    there is no base to protect, so that both kinds of channels weigh alike throughout; the learning
    rate is that of whose steps they are."""
    widened = replace(base, adapt=replace(unscheduled(base.adapt), init="scratch"))
    found = {DAVAE: base, WIDENED_SCRATCH: widened}
    adaptation, whole = base.adapt.train, base.base_dit.train
    short = max(base.davae.train.steps, whole.steps) <= LONGEST * adaptation.steps
    if short and not base.base_dit.pretrained:
        found[SCRATCH] = from_scratch(base, adaptation)
        total = replace(whole, steps=whole.steps + adaptation.steps)
        found[SCRATCH_TOTAL] = from_scratch(base, total)
    return tuple(
        Arm(name, "way", name, experiment, reference=name == DAVAE)
        for name, experiment in found.items()
    )


def from_scratch(base: Experiment, train: TrainConfig) -> Experiment:
    """An autoencoder of C + D channels on the DA-VAE's grid, trained for the DA-VAE's steps (which
    come after the base VAE's), and a transformer trained by `train` on its latents of every crop,
    at the full resolution."""
    widths = base.base_vae.block_out_channels
    vae = BaseVAEConfig(
        latent_channels=base.base_vae.latent_channels + base.davae.detail_channels,
        block_out_channels=(*widths, widths[-1]),
        norm_num_groups=base.base_vae.norm_num_groups,
        kl_weight=base.base_vae.kl_weight,
    )
    vae = with_losses_of(base.davae, vae, base.davae.train)
    return replace(
        base,
        method="base_upsampled",
        data=replace(base.data, scale=1),
        base_vae=vae,
        base_dit=replace(base.base_dit, train=train),
        base_seed=base.seed,
    )


ABLATION = Ablation(
    name="from_scratch",
    question="Is an unstructured autoencoder with a transformer of its own as good?",
    arms=arms,
    metrics=METRICS,
    pareto=("training_tflop", "gkd_effnet"),
    measured=("generation", "own_distance", "speed"),
    claims=(
        Claim(
            text="adapting is ahead of training from scratch for as long in content",
            published="FID-10k 9.27 adapted, 31.51 from scratch on the same latents",
            metric="content_accuracy",
            a=DAVAE,
            b=WIDENED_SCRATCH,
            direction="higher",
            margin=0.03,
        ),
        Claim(
            text="adapted samples are closer to real images than those from scratch for as long",
            published="FID-10k 9.27 adapted, 31.51 from scratch on the same latents",
            metric="gkd_effnet",
            a=DAVAE,
            b=WIDENED_SCRATCH,
            direction="lower",
            ratio=True,
            margin=0.03,
        ),
        Claim(
            text="adapted samples are closer than an unstructured autoencoder's from scratch",
            published="FID-10k 9.27 adapted, 35.97 to 58.17 of other autoencoders from scratch",
            metric="gkd_effnet",
            a=DAVAE,
            b=SCRATCH,
            direction="lower",
            ratio=True,
            margin=0.03,
        ),
        Claim(
            text="from scratch, the DA-VAE's latents are learnt better than an unstructured one's",
            published="FID-10k 31.51 against 35.97 to 58.17 of other autoencoders",
            metric="gkd_effnet",
            a=WIDENED_SCRATCH,
            b=SCRATCH,
            direction="lower",
            ratio=True,
            margin=0.03,
        ),
        Claim(
            text="adapting is ahead in content of an unstructured autoencoder's transformer that "
            "trained for the base model's steps and the adaptation's",
            published="",
            metric="content_accuracy",
            a=DAVAE,
            b=SCRATCH_TOTAL,
            direction="higher",
            margin=0.03,
        ),
    ),
)
