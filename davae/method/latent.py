"""The structured latent z_hr = [z, z_d] (Eq. 1): base channels first, then detail, on one token
grid."""

from __future__ import annotations

import torch


def join(base: torch.Tensor, detail: torch.Tensor) -> torch.Tensor:
    """[z, z_d]: [B, C, h, w] and [B, D, h, w] -> [B, C + D, h, w]."""
    return torch.cat([base, detail], 1)


def split(latent: torch.Tensor, base_channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(z, z_d) of [B, C + D, h, w], as views."""
    return latent[:, :base_channels], latent[:, base_channels:]
