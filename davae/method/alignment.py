"""Alignment of the detail latent with the base latent (Eq. 3 and 4)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


def group_sizes(detail_channels: int, base_channels: int) -> list[int]:
    """Sizes of the C contiguous groups of D channels; the first D mod C are one longer.

    Raises ValueError if D < C: a group would be empty.
    """
    if detail_channels < base_channels:
        conflict = f"{detail_channels} channels cannot be grouped onto {base_channels}"
        raise ValueError(
            f"{conflict}; there must be at least as many (alignment: or set align_weight 0)"
        )
    small, longer = divmod(detail_channels, base_channels)
    return [small + (i < longer) for i in range(base_channels)]


def project(detail: torch.Tensor, base_channels: int) -> torch.Tensor:
    """Proj(z_d) (Eq. 4): [B, D, h, w] -> [B, C, h, w], the mean of each group."""
    sizes = group_sizes(detail.shape[1], base_channels)
    if len(set(sizes)) == 1:
        return detail.unflatten(1, (base_channels, sizes[0])).mean(2)
    return torch.stack([group.mean(1) for group in detail.split(sizes, 1)], 1)


def repeat_to_detail(base: torch.Tensor, detail_channels: int) -> torch.Tensor:
    """Repeat each base channel over its group: [B, C, h, w] -> [B, D, h, w]; Proj undoes it."""
    sizes = torch.tensor(group_sizes(detail_channels, base.shape[1]), device=base.device)
    return base.repeat_interleave(sizes, 1)


def orthogonal(detail: torch.Tensor, base_channels: int) -> torch.Tensor:
    """z_d minus the part that alignment acts on: z_d - repeat(Proj z_d), [B, D, h, w]."""
    return detail - repeat_to_detail(project(detail, base_channels), detail.shape[1])


def channel_variance(latents: torch.Tensor) -> torch.Tensor:
    """Var_c of latents [N, C, h, w] over samples and positions: [C]."""
    return latents.transpose(0, 1).flatten(1).var(1)


def explained(projected: torch.Tensor, base: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    """mean((projected - z)^2 / Var_c(z)) of [B, C, h, w]: 1 means that nothing is explained."""
    return ((projected - base).square() / variance[:, None, None]).mean()


def alignment_loss(
    detail: torch.Tensor, base: torch.Tensor, variance: torch.Tensor
) -> torch.Tensor:
    """mean((Proj(z_d) - z)^2 / Var_c(z)): 1 means that nothing of z is explained (Eq. 3).

    detail [B, D, h, w]; base [B, C, h, w]; variance [C], of the base latent over a data set.
    With variance 1 it is the plain mean squared error.
    """
    return explained(project(detail, base.shape[1]), base, variance)


class LearnedProjection(nn.Module):
    """A 1x1 convolution [B, D, h, w] -> [B, C, h, w] that starts as Proj and is trained with the
    VAE."""

    def __init__(self, detail_channels: int, base_channels: int):
        super().__init__()
        self.conv = nn.Conv2d(detail_channels, base_channels, 1)
        with torch.no_grad():
            self.conv.bias.zero_()  # type: ignore[union-attr]
            identity = torch.eye(detail_channels)[:, :, None, None]
            self.conv.weight.copy_(project(identity, base_channels).transpose(0, 1))

    def forward(self, detail: torch.Tensor) -> torch.Tensor:
        """The projected detail."""
        return self.conv(detail)


COSINE_MARGIN, DISTANCE_MARGIN = 0.5, 0.25
"""Of VA-VAE's two terms (Yao et al. 2025)."""


def cosine_distance_loss(
    detail: torch.Tensor,
    base: torch.Tensor,
    cosine_margin: float = COSINE_MARGIN,
    distance_margin: float = DISTANCE_MARGIN,
) -> torch.Tensor:
    """VA-VAE's alignment (Yao et al. 2025), on z in the place of a vision model's features.

    mean over positions of relu(1 - m1 - cos(Proj(z_d), z)), and mean over pairs of positions of an
    image of relu(|cos(z_d, z_d') - cos(z, z')| - m2). detail [B, D, h, w]; base [B, C, h, w]."""
    cosine = F.cosine_similarity(project(detail, base.shape[1]), base, dim=1)
    near = F.relu(1 - cosine_margin - cosine).mean()
    rows = [F.normalize(x.flatten(2).transpose(1, 2), dim=-1) for x in (detail, base)]
    own, others = (x @ x.transpose(1, 2) for x in rows)
    return near + F.relu((own - others).abs() - distance_margin).mean()
