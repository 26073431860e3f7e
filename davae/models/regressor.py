"""Detail regressed from the base latent: what a super-resolver can know."""

from __future__ import annotations

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn


class DetailRegressor(ModelMixin, ConfigMixin):
    """z -> z_d by residual convolutions on the latent grid: [B, C, h, w] -> [B, D, h, w]."""

    @register_to_config
    def __init__(
        self, base_channels: int = 4, detail_channels: int = 12, width: int = 128, depth: int = 4
    ):
        super().__init__()
        self.embed = nn.Conv2d(base_channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.GroupNorm(8, width),
                nn.SiLU(),
                nn.Conv2d(width, width, 3, padding=1),
                nn.SiLU(),
                nn.Conv2d(width, width, 3, padding=1),
            )
            for _ in range(depth)
        )
        self.head = nn.Conv2d(width, detail_channels, 1)

    def forward(self, base: torch.Tensor) -> torch.Tensor:
        """The conditional mean of the normalised detail, once trained by the squared error."""
        x = self.embed(base)
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)
