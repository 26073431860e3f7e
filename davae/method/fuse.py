"""The widened layers as one layer each, for inference.

Two embedders summed are one over all channels, and two heads joined per patch position are one with
their rows in that order: the same function but for the order of sums, with half the calls."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import nn

from davae.method.widen import WidenedConv2d, WidenedHead, WidenedLinear, join_packed

Network = TypeVar("Network", bound=nn.Module)


def fuse(network: Network) -> Network:
    """Replace every widened layer of an adapted network in place by a plain Conv2d or Linear.

    The network is for inference then: it can be neither saved nor adapted further (save it
    before). Returns it. Raises ValueError where there is no widened layer."""
    widened = {
        name: layer
        for name, layer in network.named_modules()
        if isinstance(layer, (WidenedConv2d, WidenedLinear, WidenedHead))
    }
    if not widened:
        raise ValueError(f"this {type(network).__name__} has no widened layers to fuse")
    for name, layer in widened.items():
        parent, _, leaf = name.rpartition(".")
        setattr(network.get_submodule(parent), leaf, fused(layer))
    network.register_state_dict_pre_hook(refuse)
    return network


def refuse(*_: Any) -> None:
    """Raise ValueError: the file's keys would not be those that loading looks for."""
    raise ValueError("this network was fused for inference; save it before `fuse`")


@torch.no_grad()
def fused(layer: WidenedConv2d | WidenedLinear | WidenedHead) -> nn.Module:
    """The plain layer of the same function."""
    base: Any = layer.base
    if isinstance(layer, WidenedConv2d):
        weight, bias = torch.cat([base.weight, layer.detail.weight], 1), base.bias
        conv = nn.utils.skip_init(
            nn.Conv2d, weight.shape[1], weight.shape[0], base.kernel_size, base.stride,
            base.padding, base.dilation, bias=bias is not None, device=weight.device,
            dtype=weight.dtype,
        )  # fmt: skip
        return filled(conv, weight, bias)
    order = layer.positions, layer.channel_outermost
    if isinstance(layer, WidenedLinear):
        weight, bias = join_packed(base.weight, layer.detail.weight, *order), base.bias
    else:
        weight = join_packed(base.weight.T, layer.detail.weight.T, *order).T
        own = torch.zeros_like(weight[: base.out_features, 0]) if base.bias is None else base.bias
        bias = join_packed(own, layer.detail.bias, *order)
    linear = nn.utils.skip_init(
        nn.Linear, weight.shape[1], weight.shape[0], bias=bias is not None, device=weight.device,
        dtype=weight.dtype,
    )  # fmt: skip
    return filled(linear, weight, bias)


def filled(layer: Any, weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Module:
    """The layer with these values."""
    layer.weight.copy_(weight)
    if bias is not None:
        layer.bias.copy_(bias)
    return layer
