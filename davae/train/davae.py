"""Training the detail branch and the decoder of a DA-VAE (Eq. 6)."""

from __future__ import annotations

import torch
from torch import nn

from davae import keyed
from davae.alignment import alignment_loss
from davae.config import DetailConfig
from davae.data.crops import to_unit
from davae.losses import PatchDiscriminator, gradient_ratio, hinge_loss, kl_mean, load_lpips, pyramid_l1
from davae.models.davae import DAVAE
from davae.train.loop import Batch, Task, Terms

VARIANCE_SAMPLES = 20_480
"""Latents that the variance of the alignment loss is taken over, the first ones."""


class VAELoss:
    """L_rec + lambda_align L_align of Eq. 6, with the optional terms and adaptive weights."""

    def __init__(self, config: DetailConfig, model: DAVAE, variance: torch.Tensor):
        """variance [C] is the base latent's, by channel, over the training set."""
        self.config, self.model, self.variance = config, model, variance
        device = next(model.parameters()).device
        self.lpips = load_lpips().to(device) if config.lpips_weight else None
        self.discriminator = PatchDiscriminator().to(device) if config.gan_weight else None

    def nll(self, reconstruction: torch.Tensor, images: torch.Tensor) -> Terms:
        """The reconstruction terms: l1, and pyramid and lpips where they have a weight."""
        terms = {"l1": (reconstruction - images).abs().mean()}
        if self.config.pyramid_weight:
            terms["pyramid"] = pyramid_l1(reconstruction, images)
        if self.lpips is not None:
            terms["lpips"] = self.lpips(reconstruction, images).mean()
        return terms

    def alignment(self, nll: torch.Tensor, detail: torch.Tensor, base: torch.Tensor) -> tuple[torch.Tensor, Terms]:
        """(weighted term, terms to log); no computation of it where the weight is 0."""
        if not self.config.align_weight:
            return nll.new_zeros(()), {}
        align = alignment_loss(detail, base, self.variance)
        weight = torch.as_tensor(self.config.align_weight)
        if self.config.align_mode == "gradient_ratio":
            at = self.model.detail_down.conv.weight
            weight = weight * gradient_ratio(nll, align, at, upper=self.config.align_clamp)
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
        weight = self.config.gan_weight * gradient_ratio(nll, fool, last, upper=self.config.gan_clamp)
        judge = hinge_loss(self.discriminator(images), self.discriminator(reconstruction.detach()))
        return weight * fool + judge, {"gan": fool, "discriminator": judge}


def davae_task(
    model: DAVAE,
    images: torch.Tensor,
    base_latents: torch.Tensor,
    heldout: tuple[torch.Tensor, torch.Tensor],
    config: DetailConfig,
    seed: int,
) -> Task:
    """Train on uint8 images [N, 3, H, W] with their cached base latents [N, C, h, w].

    `heldout` is such a pair; its PSNR with the detail and with the detail zeroed is logged.
    """
    device = next(model.parameters()).device
    variance = base_latents[:VARIANCE_SAMPLES].transpose(0, 1).flatten(1).var(1).to(device)
    losses = VAELoss(config, model, variance)
    trained = nn.ModuleDict({"davae": model})
    if losses.discriminator is not None:
        trained["discriminator"] = losses.discriminator
    wide = model.config.detail_channels

    def batch(n: int, samples: list[int]) -> Batch:
        index = keyed.choose(seed, "davae/data", n, samples, len(images))
        z = base_latents[index]
        if not wide:
            return images[index], z
        noise = keyed.normal(seed, "davae/posterior", n, samples, (wide, *z.shape[2:]))
        keep = keyed.uniform(seed, "davae/dropout", n, samples) >= config.detail_dropout
        return images[index], z, noise, keep.float()

    def step(n: int, batch: Batch) -> Terms:
        x, z = to_unit(batch[0]), batch[1]
        terms: Terms = {}
        extra = z.new_zeros(())
        latent, detail = z, z[:, :0]
        if wide:
            noise, keep = batch[2:]
            mean, logvar = (part.float() for part in model.detail_moments(x))
            detail = mean + (0.5 * logvar).exp() * noise
            latent = torch.cat([z, model.drop_detail(detail, keep)], 1)
            terms["kl"] = kl_mean(mean, logvar)
            extra = config.kl_weight * terms["kl"]
        reconstruction = model.decode_raw(latent).float()
        parts = losses.nll(reconstruction, x)
        weights = {"l1": config.l1_weight, "pyramid": config.pyramid_weight, "lpips": config.lpips_weight}
        nll = torch.stack([weights[name] * value for name, value in parts.items()]).sum()
        align, align_terms = losses.alignment(nll, detail, z) if wide else (extra, {})
        gan, gan_terms = losses.adversarial(n, nll, reconstruction, x)
        loss = nll + extra + gan + (align if wide else 0.0)
        return {"loss": loss, **parts, **terms, **align_terms, **gan_terms}

    def evaluate() -> dict[str, float]:
        x, z = (part[:39].to(device) for part in heldout)
        x = to_unit(x)
        detail = model.detail_moments(x)[0]
        figures = {"psnr_db": psnr(model.decode_raw(torch.cat([z, detail], 1)).float(), x)}
        if wide:
            figures["psnr_zeroed_db"] = psnr(model.decode_raw(torch.cat([z, torch.zeros_like(detail)], 1)).float(), x)
        return figures

    return Task("DA-VAE" if wide else "decoder without detail", trained, batch, step, evaluate, evaluations=8)


def psnr(reconstruction: torch.Tensor, images: torch.Tensor) -> float:
    """Mean over images of the PSNR in dB of float images in [-1, 1], for the training log."""
    error = (reconstruction.clamp(-1, 1) - images).square().mean((1, 2, 3))
    return float((10 * torch.log10(4 / error)).mean())


def detail_statistics(modes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation [D] of raw detail modes [N, D, h, w]."""
    by_channel = modes.transpose(0, 1).flatten(1)
    return by_channel.mean(1), by_channel.std(1)
