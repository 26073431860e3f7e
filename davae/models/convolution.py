"""Convolutions whose weight gradient is a product of its own, in the contiguous layout.

On some CPUs, those without AVX-512, that one product of a channels-last convolution is slower than
in the contiguous layout, and the other two are faster; which kind of machine it is,
`davae.measure.roofline.weight_gradient_rates` measures.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


class _Convolution(torch.autograd.Function):
    """A convolution of one group without dilation."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        stride: tuple[int, ...],
        padding: tuple[int, ...],
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding, ctx.has_bias = stride, padding, bias is not None
        return F.conv2d(x, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[Any, ...]:
        x, weight = ctx.saved_tensors
        sizes = [weight.shape[0]] if ctx.has_bias else None
        options = (sizes, ctx.stride, ctx.padding, (1, 1), False, (0, 0), 1)
        backward = torch.ops.aten.convolution_backward
        to_x, to_weight, to_bias = ctx.needs_input_grad[:3]
        of_x = of_weight = of_bias = None
        if to_x:
            of_x = backward(grad, x, weight, *options, [True, False, False])[0]
        if to_weight or to_bias:
            plain = (grad.contiguous(), x.contiguous(), weight.contiguous())
            _, of_weight, of_bias = backward(*plain, *options, [False, to_weight, to_bias])
        return of_x, of_weight, of_bias, None, None


def convolve(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: tuple[int, ...] = (1, 1),
    padding: tuple[int, ...] = (0, 0),
) -> torch.Tensor:
    """F.conv2d, whose weight gradient is computed in the contiguous layout."""
    return _Convolution.apply(x, weight, bias, stride, padding)


class Convolution(nn.Conv2d):
    """nn.Conv2d by `convolve`."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        assert not isinstance(self.padding, str), f"{self} pads by name"
        return convolve(input, self.weight, self.bias, self.stride, self.padding)


def contiguous_weight_gradients(model: nn.Module) -> None:
    """Let every plain convolution inside the model compute its weight gradient so, in place."""
    for module in model.modules():
        if type(module) is nn.Conv2d and module.groups == 1 and module.dilation == (1, 1):
            assert module.padding_mode == "zeros", f"{module} pads otherwise"
            module.__class__ = Convolution
