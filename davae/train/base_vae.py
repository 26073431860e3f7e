"""Training the small base VAE on base-resolution images."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL

from davae import keyed
from davae.config import BaseVAEConfig
from davae.losses import kl_mean
from davae.train.loop import Task, Terms


def base_vae_task(
    vae: AutoencoderKL, images: torch.Tensor, heldout: torch.Tensor, config: BaseVAEConfig, seed: int
) -> Task:
    """L1 + kl_weight KL on images [N, 3, R, R] in [-1, 1]; PSNR on `heldout` is logged."""
    device = next(vae.parameters()).device

    def step(n: int, samples: list[int]) -> Terms:
        batch = images[keyed.choose(seed, "base_vae/data", n, samples, len(images))].to(device)
        posterior = vae.encode(batch).latent_dist
        noise = keyed.normal(seed, "base_vae/posterior", n, samples, posterior.mean.shape[1:]).to(device)
        reconstruction = vae.decode(posterior.mean + posterior.std * noise).sample
        l1 = (reconstruction - batch).abs().mean()
        kl = kl_mean(posterior.mean, posterior.logvar)
        return {"loss": l1 + config.kl_weight * kl, "l1": l1, "kl": kl}

    def evaluate() -> dict[str, float]:
        batch = heldout[:130].to(device)
        reconstruction = vae.decode(vae.encode(batch).latent_dist.mode()).sample.clamp(-1, 1)
        error = (reconstruction - batch.clamp(-1, 1)).square().mean((1, 2, 3))
        return {"psnr_db": float((10 * torch.log10(4 / error)).mean())}

    return Task("base VAE", vae, step, evaluate)


@torch.no_grad()
def latent_statistics(latents: torch.Tensor) -> tuple[float, float]:
    """(shift_factor, scaling_factor): the mean and the inverse deviation of all elements."""
    return float(latents.mean()), float(1 / latents.std())
