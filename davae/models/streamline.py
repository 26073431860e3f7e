"""Leaner forwards for the blocks of diffusers' VAEs, with the same parameters and the same
function."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import nn

from davae.models.convolution import Convolution, convolve


def norm_silu(norm: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """silu(norm(x)), overwriting the normed tensor where no gradient needs it."""
    return F.silu(norm(x), inplace=not torch.is_grad_enabled())


class Resnet(ResnetBlock2D):
    """x + conv(silu(norm(conv(silu(norm x))))), without the division by the block's scale, which is
    1."""

    def forward(
        self, input_tensor: torch.Tensor, temb: None = None, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        h = self.conv2(norm_silu(self.norm2, self.conv1(norm_silu(self.norm1, input_tensor))))
        x = input_tensor if self.conv_shortcut is None else self.conv_shortcut(input_tensor)
        return x + h if torch.is_grad_enabled() else h.add_(x)


def phase_kernels(weight: torch.Tensor) -> torch.Tensor:
    """The 3x3 kernels [O, I, 3, 3] after a nearest doubling, as 2x2 kernels [4 O, I, 2, 2] before
    it.

    Output rows of even number 2i see source rows i-1, i, i and odd ones i, i, i+1, so that two taps
    add up; columns likewise. The four (row, column) phases follow one another.
    """
    first, middle, last = weight.unbind(2)
    rows = [torch.stack([first, middle + last], 2), torch.stack([first + middle, last], 2)]
    kernels = []
    for row in rows:
        first, middle, last = row.unbind(3)
        kernels += [torch.stack([first, middle + last], 3), torch.stack([first + middle, last], 3)]
    return torch.cat(kernels)


class Upsample(Upsample2D):
    """Nearest doubling and a 3x3 convolution, as 2x2 convolutions of the small image: 4/9 of the
    products."""

    def forward(
        self, hidden_states: torch.Tensor, output_size: None = None, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        conv: Any = self.conv
        channels, (height, width) = conv.out_channels, hidden_states.shape[2:]
        kernels = phase_kernels(conv.weight)
        if hidden_states.is_contiguous(memory_format=torch.channels_last):
            kernels = kernels.contiguous(memory_format=torch.channels_last)
        product = convolve if isinstance(conv, Convolution) else F.conv2d
        y = product(hidden_states, kernels, conv.bias.repeat(4), (1, 1), (1, 1))
        phases = y.unflatten(
            1, (2, 2, channels)
        )  # each phase is a window of it, shifted by its row and column
        parts = [
            phases[:, a, b, :, a : a + height, b : b + width].permute(0, 2, 3, 1) for a, b in PHASES
        ]
        return woven(parts).permute(0, 3, 1, 2)


PHASES = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Row and column of the phases."""


def woven(parts: list[torch.Tensor]) -> torch.Tensor:
    """The four phases [B, h, w, C] as one image [B, 2h, 2w, C]; without gradients each is written
    to its place, which needs neither a second copy nor its memory."""
    batch, height, width, channels = parts[0].shape
    if not torch.is_grad_enabled():
        image = parts[0].new_empty(batch, 2 * height, 2 * width, channels)
        for (a, b), part in zip(PHASES, parts, strict=True):
            image[:, a::2, b::2] = part
        return image
    stacked = torch.stack(parts).view(2, 2, batch, height, width, channels)
    # [a, b, B, h, w, C] -> [B, h, a, w, b, C]
    return stacked.permute(2, 3, 0, 4, 1, 5).reshape(batch, 2 * height, 2 * width, channels)


class Downsample(Downsample2D):
    """A row and a column of zeros after the image, and a 3x3 convolution of stride 2."""

    def forward(self, hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        return self.conv(F.pad(hidden_states, (0, 1, 0, 1)))


LEANER: dict[type, type] = {ResnetBlock2D: Resnet, Upsample2D: Upsample, Downsample2D: Downsample}


def streamline(body: nn.Module) -> nn.Module:
    """Give diffusers' residual, up and down blocks inside `body` these forwards, in place; returns
    it.

    Resnets and downsamplers compute the same numbers bit for bit, upsamplers up to float rounding.
    """
    for module in body.modules():
        if type(module) in LEANER:
            assert plain(module), f"{module} is not a block of a VAE as diffusers builds them"
            module.__class__ = LEANER[type(module)]
    return body


def plain(module: Any) -> bool:
    """Whether a block has none of the options that the leaner forwards leave out."""
    if isinstance(module, ResnetBlock2D):
        scaled = (
            module.output_scale_factor != 1 or module.dropout.p or module.time_emb_proj is not None
        )
        return not (
            scaled
            or module.upsample
            or module.downsample
            or not isinstance(module.nonlinearity, nn.SiLU)
        )
    if isinstance(module, Upsample2D):
        return (
            module.use_conv
            and not module.use_conv_transpose
            and module.interpolate
            and module.norm is None
        )
    return module.use_conv and module.padding == 0 and module.norm is None
