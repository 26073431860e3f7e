"""Training the detail branch and the decoder of a DA-VAE (Eq. 6)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from davae.core import keyed
from davae.core.experiment import DetailConfig
from davae.core.ranks import ranks
from davae.data.pixels import psnr, to_unit
from davae.features.convnext import load_convnext
from davae.features.lpips import load_lpips
from davae.method.alignment import (
    LearnedProjection,
    alignment_loss,
    channel_variance,
    cosine_distance_loss,
    explained,
)
from davae.method.latent import join
from davae.method.vae_loss import Pair, ReconstructionLoss, gradient_ratio, hinge_loss, kl_mean
from davae.models.davae import DAVAE
from davae.models.discriminator import PatchDiscriminator
from davae.train.batches import Batch, chosen
from davae.train.generation import GenerationAlignment
from davae.train.loop import Task, Terms

Drawn = tuple[torch.Tensor, ...]
CHECKED = 39
"""Held-out images whose PSNR is logged, the first ones."""
VARIANCE_SAMPLES, VARIANCE_VALUES = 20_480, 2**28
"""Latents that the variance of the alignment loss is taken over, the first ones, and the values
that they hold at most."""


def base_variance(base_latents: Any) -> torch.Tensor:
    """The variance [C] of the channels of base latents [N, C, h, w], over the first of them."""
    most = max(1, VARIANCE_VALUES // math.prod(base_latents.shape[1:]))
    return channel_variance(base_latents[: min(VARIANCE_SAMPLES, most)])


class VAELoss:
    """Eq. 6 for a DA-VAE under its config: the terms, where their gradients are compared, and the
    discriminator."""

    def __init__(
        self,
        config: DetailConfig,
        model: DAVAE,
        variance: torch.Tensor,
        generation: GenerationAlignment | None = None,
    ):
        """variance [C] is the base latent's, by channel, over the training set."""
        self.generation = generation
        self.config, self.model, self.variance = config, model, variance
        device = next(model.parameters()).device
        perceptual: dict[str, Pair] = {}
        if config.lpips_weight:
            perceptual["lpips"] = load_lpips().to(device)
        if config.convnext_weight:
            perceptual["convnext"] = load_convnext().to(device)
        self.reconstruction = ReconstructionLoss(
            l1=config.l1_weight,
            l2=config.l2_weight,
            haar=config.haar_weight,
            pyramid=config.pyramid_weight,
            lpips=config.lpips_weight,
            convnext=config.convnext_weight,
            perceptual=perceptual,
        )
        self.discriminator = PatchDiscriminator().to(device) if config.gan_weight else None
        self.projection: LearnedProjection | None = None
        wide = model.config.detail_channels
        if wide and config.align_weight and config.align_method == "learned":
            self.projection = LearnedProjection(wide, model.base_channels).to(device)

    def aligned(
        self, detail: torch.Tensor, base: torch.Tensor, images: torch.Tensor, drawn: Drawn
    ) -> torch.Tensor:
        """What Eq. 3 asks to be small, by the config's method."""
        if self.generation is not None:
            return self.generation(detail, base, images, *drawn)
        if self.config.align_method == "cosine_distance":
            return cosine_distance_loss(detail, base)
        if self.projection is not None:
            return explained(self.projection(detail), base, self.variance)
        return alignment_loss(detail, base, self.variance)

    def alignment(
        self,
        nll: torch.Tensor,
        detail: torch.Tensor,
        base: torch.Tensor,
        images: torch.Tensor,
        drawn: Drawn,
    ) -> tuple[torch.Tensor, Terms]:
        """(weighted term of Eq. 3, terms to log); no computation of it where the weight is 0.

        drawn: times and noises, for an alignment that reads them."""
        if not self.config.align_weight:
            return nll.new_zeros(()), {}
        align = self.aligned(detail, base, images, drawn)
        weight = torch.as_tensor(self.config.align_weight)
        if self.config.align_mode == "gradient_ratio":
            at = self.model.detail_down.conv.weight
            upper, mean = self.config.align_clamp, ranks().mean
            weight = weight * gradient_ratio(nll, align, at, upper=upper, mean=mean)
        return weight * align, {"align": align}

    def adversarial(
        self, n: int, nll: torch.Tensor, reconstruction: torch.Tensor, images: torch.Tensor
    ) -> tuple[torch.Tensor, Terms]:
        """Generator's and discriminator's hinge losses from step `gan_start_step` on.

        Each reaches its own parameters only, so that one optimizer serves both.
        """
        if self.discriminator is None or n < self.config.gan_start_step:
            return nll.new_zeros(()), {}
        fool = -self.discriminator.frozen(reconstruction).mean()
        last = self.model.decoder.conv_out.weight
        weight = self.config.gan_weight * gradient_ratio(
            nll, fool, last, upper=self.config.gan_clamp, mean=ranks().mean
        )
        discriminator_loss = hinge_loss(
            self.discriminator(images), self.discriminator(reconstruction.detach())
        )
        return weight * fool + discriminator_loss, {
            "gan": fool,
            "discriminator": discriminator_loss,
        }


def davae_task(
    model: DAVAE,
    images: Any,
    base_latents: Any,
    heldout: tuple[Any, Any],
    config: DetailConfig,
    seed: int,
    generation: GenerationAlignment | None = None,
    at_once: int = 0,
) -> Task:
    """Train on uint8 images [N, 3, H, W] with their cached base latents [N, C, h, w], tensors or
    what is indexed as one.

    `heldout` is such a pair; its PSNR with the detail and with the detail zeroed is logged.
    generation: what aligns, in the place of Eq. 3; at_once: held-out images that are decoded at
    once, as many as a training step takes where it is 0.
    """
    device = next(model.parameters()).device
    variance = base_variance(base_latents).to(device)
    losses = VAELoss(config, model, variance, generation)
    trained = nn.ModuleDict({"davae": model})
    if losses.discriminator is not None:
        trained["discriminator"] = losses.discriminator
    if losses.projection is not None:
        trained["projection"] = losses.projection
    if generation is not None:
        trained["generation"] = generation
    wide = model.config.detail_channels

    def drawn(n: int, samples: list[int], z: torch.Tensor) -> Drawn:
        if generation is None:
            return ()
        base, h, w = z.shape[1:]
        shapes = ((base + wide, h, w), (base, generation.scale * h, generation.scale * w))
        noises = [
            keyed.normal(seed, f"davae/align_noise_{i}", n, samples, shape)
            for i, shape in enumerate(shapes)
        ]
        return keyed.uniform(seed, "davae/align_time", n, samples).float(), *noises

    def batch(n: int, samples: list[int]) -> Batch:
        index = chosen(config.train.epochs, seed, "davae/data", n, samples, len(images))
        x, z = torch.as_tensor(images[index]), base_latents[index]
        if not wide:
            return x, z
        noise = keyed.normal(seed, "davae/posterior", n, samples, (wide, *z.shape[2:]))
        keep = keyed.uniform(seed, "davae/dropout", n, samples) >= config.detail_dropout
        return x, z, noise, keep.float(), *drawn(n, samples, z)

    def step(n: int, batch: Batch) -> Terms:
        x, z = to_unit(batch[0]), batch[1]
        terms: Terms = {}
        extra = z.new_zeros(())
        latent, detail = z, z[:, :0]
        if wide:
            noise, keep = batch[2:4]
            mean, logvar = (part.float() for part in model.detail_moments(x))
            detail = mean + (0.5 * logvar).exp() * noise
            latent = join(z, model.drop_detail(detail, keep))
            terms["kl"] = kl_mean(mean, logvar)
            extra = config.kl_weight * terms["kl"]
        reconstruction = model.decode_raw(latent).float()
        parts = losses.reconstruction.terms(reconstruction, x)
        nll = losses.reconstruction.total(parts)
        align, align_terms = losses.alignment(nll, detail, z, x, batch[4:]) if wide else (extra, {})
        gan, gan_terms = losses.adversarial(n, nll, reconstruction, x)
        loss = nll + extra + gan + (align if wide else 0.0)
        return {"loss": loss, **parts, **terms, **align_terms, **gan_terms}

    def evaluate() -> dict[str, float]:
        count, part = len(heldout[0][:CHECKED]), at_once or config.train.batch_size
        found: dict[str, list[torch.Tensor]] = {}
        for start in range(0, count, part):
            rows = slice(start, min(start + part, count))
            x, z = (torch.as_tensor(images[rows]).to(device) for images in heldout)
            x = to_unit(x)
            detail = model.detail_moments(x)[0]
            shown = {"psnr_db": detail}
            if wide:
                shown["psnr_zeroed_db"] = torch.zeros_like(detail)
            for name, chosen_detail in shown.items():
                decoded = model.decode_raw(join(z, chosen_detail))
                found.setdefault(name, []).append(logged_psnr(decoded, x))
        return {name: float(torch.cat(values).mean()) for name, values in found.items()}

    return Task(
        "DA-VAE" if wide else "decoder without detail",
        trained,
        batch,
        step,
        evaluate,
        evaluations=8,
        idle=losses.discriminator is not None and config.gan_start_step > 0,
    )


def logged_psnr(reconstruction: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """PSNR in dB [N] of float images in [-1, 1], for the training log."""
    return psnr(reconstruction.float().clamp(-1, 1), images, data_range=2.0)


def detail_statistics(modes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation [D] of raw detail modes [N, D, h, w]."""
    return modes.transpose(0, 1).flatten(1).mean(1), channel_variance(modes).sqrt()
