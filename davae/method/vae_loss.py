"""The VAE loss, L_rec + lambda_align L_align (Eq. 6): its terms, their gradient-ratio weights,
their sum."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

Pair = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def kl_mean(mean: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """mean(mu^2 + sigma^2 - 1 - log sigma^2) over all elements: twice the KL an element."""
    return (mean.square() + logvar.exp() - 1 - logvar).mean()


def laplacian_pyramid(images: torch.Tensor, levels: int) -> list[torch.Tensor]:
    """`levels` band-pass images and the low-pass rest; their enlarged sum is the image again."""
    bands = []
    for _ in range(levels):
        small = F.avg_pool2d(images, 2)
        bands.append(
            images - F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False)
        )
        images = small
    return [*bands, images]


def pyramid_l1(prediction: torch.Tensor, target: torch.Tensor, levels: int = 3) -> torch.Tensor:
    """Mean over the bands of the mean absolute error, so that sparse fine detail counts fully."""
    bands = laplacian_pyramid(prediction - target, levels)
    return torch.stack([band.abs().mean() for band in bands]).mean()


def haar_detail(images: torch.Tensor) -> torch.Tensor:
    """The three detail coefficients of the orthonormal 2x2 Haar transform, [B, 3 C, H/2, W/2]:
    between columns, between rows, diagonal."""
    a, b, c, d = (images[..., i::2, j::2] for i in range(2) for j in range(2))
    return torch.cat([a - b + c - d, a + b - c - d, a - b - c + d], 1) / 2


def gradient_ratio(
    nll: torch.Tensor,
    term: torch.Tensor,
    weight: torch.Tensor,
    *,
    upper: float,
    at: torch.Tensor | None = None,
    mean: Callable[[torch.Tensor], torch.Tensor] = lambda gradient: gradient,
) -> torch.Tensor:
    """|grad nll| / (|grad term| + 1e-4), detached and clamped to [0, upper].

    Both gradients are taken at the parameter `weight` of the layer before the output (Esser et
    al. 2021); `at` is another parameter for `term` where the two layers differ. mean: over the
    processes of a run, each of which has a part of the batch.
    """
    ours = mean(torch.autograd.grad(nll, weight, retain_graph=True)[0])
    at = weight if at is None else at
    theirs = mean(torch.autograd.grad(term, at, retain_graph=True)[0])
    return (ours.norm() / (theirs.norm() + 1e-4)).clamp(0.0, upper).detach()


def hinge_loss(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """The discriminator's hinge loss: (mean relu(1 - real) + mean relu(1 + fake)) / 2."""
    return (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2


@dataclass(frozen=True)
class ReconstructionLoss:
    """L1, squared error, L1 of Haar detail and of a Laplacian pyramid, and perceptual distances of
    L_rec; terms of weight 0 are not computed."""

    l1: float = 1.0
    l2: float = 0.0
    haar: float = 0.0
    pyramid: float = 0.0
    lpips: float = 0.0
    convnext: float = 0.0
    perceptual: Mapping[str, Pair] = field(default_factory=dict)
    """By the name of its term, lpips or convnext: (reconstruction, images) in [-1, 1] -> [B];
    needed where the term's weight is not 0."""

    def terms(self, reconstruction: torch.Tensor, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """The unweighted terms by name, `l1` always among them."""
        error = reconstruction - images
        terms = {"l1": error.abs().mean()}
        if self.l2:
            terms["l2"] = error.square().mean()
        if self.haar:
            terms["haar"] = haar_detail(error).abs().mean()
        if self.pyramid:
            terms["pyramid"] = pyramid_l1(reconstruction, images)
        for name in ("lpips", "convnext"):
            if getattr(self, name):
                terms[name] = self.perceptual[name](reconstruction, images).mean()
        return terms

    def total(self, terms: dict[str, torch.Tensor]) -> torch.Tensor:
        """The weighted sum of `terms`: the nll of the gradient ratios."""
        return torch.stack([getattr(self, name) * value for name, value in terms.items()]).sum()
