"""Alignment of the detail latent with the base latent (Eq. 3 and 4)."""

from __future__ import annotations

import torch


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


def alignment_loss(
    detail: torch.Tensor, base: torch.Tensor, variance: torch.Tensor
) -> torch.Tensor:
    """mean((Proj(z_d) - z)^2 / Var_c(z)): 1 means that nothing of z is explained (Eq. 3).

    detail [B, D, h, w]; base [B, C, h, w]; variance [C], of the base latent over a data set.
    With variance 1 it is the plain mean squared error.
    """
    error = project(detail, base.shape[1]) - base
    return (error.square() / variance[:, None, None]).mean()
