"""Pixels: between uint8 and [-1, 1], between resolutions, and how far two images are apart."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F

Quantisation = Literal["rounded", "truncated", "float"]


def to_unit(images: np.ndarray | torch.Tensor) -> torch.Tensor:
    """uint8 [.., 3, H, W] to float32 in [-1, 1]."""
    return torch.as_tensor(images).float() / 127.5 - 1.0


class UnitImages:
    """uint8 images [N, 3, H, W] that are floats in [-1, 1] where they are read, by `to_unit`."""

    def __init__(self, images: Any):
        self.images, self.shape = images, images.shape

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, chosen: slice | torch.Tensor) -> torch.Tensor:
        return to_unit(self.images[chosen])


def to_uint8(images: torch.Tensor) -> np.ndarray:
    """Float images in [-1, 1] to uint8, clamped and rounded."""
    return ((images.float().clamp(-1, 1) + 1) * 127.5).round().byte().cpu().numpy()


def downsample(images: torch.Tensor, scale: int, antialias: bool) -> torch.Tensor:
    """Bicubic reduction by 1 / scale, align_corners=False, unclamped: the base image of I_hr.

    [B, 3, H, W] -> [B, 3, H / scale, W / scale].
    """
    return F.interpolate(
        images, scale_factor=1 / scale, mode="bicubic", align_corners=False, antialias=antialias
    )


def upsample(images: torch.Tensor, scale: int) -> torch.Tensor:
    """Bicubic enlargement by `scale`: [B, 3, H, W] -> [B, 3, H scale, W scale]."""
    return F.interpolate(images, scale_factor=scale, mode="bicubic", align_corners=False)


def quantise(images: np.ndarray, kind: Quantisation) -> np.ndarray:
    """Float images in [-1, 1] to 0..255: clamped, then rounded or truncated to uint8, or left
    float32.

    uint8 images are returned as they are: their quantisation is past.
    """
    if images.dtype == np.uint8:
        return images
    scaled = ((images.astype(np.float32) + 1) * 127.5).clip(0, 255)
    if kind == "float":
        return scaled
    return (np.rint(scaled) if kind == "rounded" else np.floor(scaled)).astype(np.uint8)


def psnr(images: torch.Tensor, references: torch.Tensor, data_range: float) -> torch.Tensor:
    """10 log10(data_range^2 / MSE) in dB of each pair, [N, 3, H, W] -> float64 [N]."""
    error = (images.double() - references.double()).square().mean((1, 2, 3))
    return 10 * torch.log10(data_range**2 / error)
