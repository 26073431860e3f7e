"""Training the regression of the detail on the base latent."""

from __future__ import annotations

import torch

from davae.models.regressor import DetailRegressor
from davae.train.batches import Batch, chosen
from davae.train.loop import Task, Terms
from davae.train.transformer import LatentSet


def regressor_task(
    model: DetailRegressor, data: LatentSet, heldout: LatentSet, seed: int, epochs: bool = False
) -> Task:
    """Minimise mean((f(z) - z_d)^2) over normalised latents [N, C + D, h, w]; epochs: as of
    TrainConfig."""
    base = model.config.base_channels
    device = next(model.parameters()).device

    def error(latents: torch.Tensor) -> torch.Tensor:
        return (model(latents[:, :base]) - latents[:, base:]).square().mean()

    def batch(n: int, samples: list[int]) -> Batch:
        index = chosen(epochs, seed, "regressor/data", n, samples, len(data.latents))
        return (data.latents[index],)

    def step(n: int, batch: Batch) -> Terms:
        return {"loss": error(batch[0])}

    def evaluate() -> dict[str, float]:
        return {"heldout_error": float(error(heldout.latents[:].to(device)))}

    return Task("regressor", model, batch, step, evaluate, evaluations=8)
