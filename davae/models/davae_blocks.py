"""What DA-VAE adds to a VAE's bodies: the down and up blocks of the detail, and a posterior whose
base part is fixed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from davae.method.alignment import group_sizes
from davae.method.latent import join

LOGVAR_RANGE = (-30.0, 20.0)


class StructuredPosterior:
    """The posterior of [base | detail], unscaled: the base part is a point, the detail Gaussian."""

    def __init__(self, base: torch.Tensor, mean: torch.Tensor, logvar: torch.Tensor):
        self.base, self.detail_mean, self.detail_logvar = base, mean, logvar

    @property
    def mean(self) -> torch.Tensor:
        """[B, C + D, h, w]: the base mode and the detail mean."""
        return join(self.base, self.detail_mean)

    @property
    def logvar(self) -> torch.Tensor:
        """[B, C + D, h, w]; the base part, which has no variance, is at the lower clamp, -30."""
        floor = torch.full_like(self.base, LOGVAR_RANGE[0])
        return join(floor, self.detail_logvar)

    def mode(self) -> torch.Tensor:
        """The mean."""
        return self.mean

    def sample_detail(self, generator: torch.Generator | None = None) -> torch.Tensor:
        """z_d ~ N(mean, exp(logvar)), [B, D, h, w]."""
        like = self.detail_mean
        noise = torch.randn(
            like.shape,
            generator=generator,
            dtype=like.dtype,
            device=generator.device if generator else like.device,
        )
        return like + (0.5 * self.detail_logvar).exp() * noise.to(like.device)

    def sample(self, generator: torch.Generator | None = None) -> torch.Tensor:
        """[B, C + D, h, w]: the base mode itself and a sample of the detail."""
        return join(self.base, self.sample_detail(generator))


class DownBlock(nn.Module):
    """3x3 conv and PixelUnshuffle(s), plus an unshuffled shortcut: [B, w, s h, s w] -> [B, out, h,
    w].

    The shortcut is averaged over groups of consecutive channels where `out` divides w s^2;
    otherwise a zero-initialised bias-free 1x1 convolution reduces it.
    """

    def __init__(self, width: int, out_channels: int, scale: int):
        super().__init__()
        if out_channels % scale**2:
            raise ValueError(
                f"{out_channels} moments cannot be unshuffled by {scale}: 2 D must be a "
                "multiple of s^2"
            )
        self.scale, self.out_channels = scale, out_channels
        self.conv = nn.Conv2d(width, out_channels // scale**2, 3, padding=1)
        self.shortcut_proj: nn.Conv2d | None = None
        if width * scale**2 % out_channels:
            self.shortcut_proj = nn.Conv2d(width * scale**2, out_channels, 1, bias=False)
            nn.init.zeros_(self.shortcut_proj.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = F.pixel_unshuffle(x, self.scale)
        if self.shortcut_proj is None:
            shortcut = shortcut.unflatten(1, (self.out_channels, -1)).mean(2)
        else:
            shortcut = self.shortcut_proj(shortcut)
        return F.pixel_unshuffle(self.conv(x), self.scale) + shortcut


class UpBlock(nn.Module):
    """3x3 conv and PixelShuffle(s), plus a shortcut of repeated, shuffled channels: C + D -> width.

    Where C + D does not divide width s^2, the first channels are repeated once more. The shortcut
    starts with the last `first` channels."""

    repeats: torch.Tensor

    def __init__(self, channels: int, width: int, scale: int, first: int = 0):
        super().__init__()
        self.scale, self.first = scale, first
        self.register_buffer(
            "repeats", torch.tensor(group_sizes(width * scale**2, channels)), persistent=False
        )
        self.conv = nn.Conv2d(channels, width * scale**2, 3, padding=1)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        shortcut = z.roll(self.first, 1) if self.first else z
        shortcut = shortcut.repeat_interleave(self.repeats, 1, output_size=self.conv.out_channels)
        return F.pixel_shuffle(self.conv(z) + shortcut, self.scale)
