"""Training the small base VAE on base-resolution images."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL

from davae.core import keyed
from davae.core.experiment import BaseVAEConfig
from davae.data.pixels import UnitImages, psnr
from davae.method.vae_loss import ReconstructionLoss, kl_mean
from davae.train.batches import Batch, chosen
from davae.train.loop import Task, Terms


def base_vae_task(
    vae: AutoencoderKL,
    images: torch.Tensor | UnitImages,
    heldout: torch.Tensor | UnitImages,
    config: BaseVAEConfig,
    seed: int,
) -> Task:
    """L1 + l2_weight squared error + haar_weight Haar detail + kl_weight KL on images [N, 3, R, R]
    in [-1, 1]; PSNR on `heldout` is logged."""
    device = next(vae.parameters()).device

    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    latent = (vae.config.latent_channels, images.shape[2] // factor, images.shape[3] // factor)

    def batch(n: int, samples: list[int]) -> Batch:
        x = images[chosen(config.train.epochs, seed, "base_vae/data", n, samples, len(images))]
        return x, keyed.normal(seed, "base_vae/posterior", n, samples, latent)

    def step(n: int, batch: Batch) -> Terms:
        x, noise = batch
        posterior = vae.encode(x).latent_dist
        reconstruction = vae.decode(posterior.mean + posterior.std * noise).sample
        losses = ReconstructionLoss(l2=config.l2_weight, haar=config.haar_weight)
        terms = losses.terms(reconstruction, x)
        kl = kl_mean(posterior.mean, posterior.logvar)
        return {"loss": losses.total(terms) + config.kl_weight * kl, **terms, "kl": kl}

    def evaluate() -> dict[str, float]:
        x = heldout[:130].to(device)
        reconstruction = vae.decode(vae.encode(x).latent_dist.mode()).sample
        return {
            "psnr_db": float(
                psnr(reconstruction.float().clamp(-1, 1), x.clamp(-1, 1), data_range=2.0).mean()
            )
        }

    return Task("base VAE", vae, batch, step, evaluate)


@torch.no_grad()
def latent_statistics(latents: torch.Tensor) -> tuple[float, float]:
    """(shift_factor, scaling_factor): the mean and the inverse deviation of all elements."""
    return float(latents.mean()), float(1 / latents.std())
