"""Widening a pretrained diffusion transformer by D detail channels.

The patch embedder and the head are each replaced by a pair of layers, the pretrained one for the
base channels and a new one for the detail channels, whose results are added (embedder) or
concatenated per patch position (head). Because the base path runs the very same kernels on the
very same tensors, a zero-initialised detail path leaves the base output unchanged bit for bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import nn

Init = Literal["zero", "random", "random_in", "random_out", "repeat", "reset"]
Status = Literal["untouched", "copied", "widened", "new"]


class WidenedConv2d(nn.Module):
    """Patch embedder on [B, C + D, H, W]: base(x[:, :C]) + detail(x[:, C:])."""

    def __init__(self, base: nn.Conv2d, detail_channels: int):
        super().__init__()
        if base.groups != 1:
            raise ValueError(f"a patch embedder with {base.groups} groups cannot be widened")
        self.base = base
        shape: Any = (base.kernel_size, base.stride, base.padding, base.dilation)
        self.detail = nn.Conv2d(
            detail_channels, base.out_channels, *shape, bias=False, **_like(base.weight)
        )  # type: ignore[misc]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        channels = self.base.in_channels
        return self.base(x[:, :channels].contiguous()) + self.detail(x[:, channels:])


class WidenedLinear(nn.Module):
    """Patch embedder on packed patches [.., F], F = (C + D) p^2 with the channel outermost or
    innermost."""

    def __init__(
        self, base: nn.Linear, detail_channels: int, positions: int, channel_outermost: bool
    ):
        super().__init__()
        self.positions, self.channel_outermost = positions, channel_outermost
        self.base = base
        self.detail = nn.Linear(
            detail_channels * positions, base.out_features, bias=False, **_like(base.weight)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        base, detail = split_packed(
            x, self.base.in_features, self.positions, self.channel_outermost
        )
        return self.base(base) + self.detail(detail)


class WidenedHead(nn.Module):
    """Head to packed patches [.., (C + D) p^2]: base and detail joined per patch position."""

    def __init__(
        self, base: nn.Linear, detail_channels: int, positions: int, channel_outermost: bool = False
    ):
        super().__init__()
        self.positions, self.channel_outermost = positions, channel_outermost
        self.base = base
        self.detail = nn.Linear(base.in_features, detail_channels * positions, **_like(base.weight))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return join_packed(self.base(x), self.detail(x), self.positions, self.channel_outermost)


def _like(weight: torch.Tensor) -> dict:
    return {"device": weight.device, "dtype": weight.dtype}


def split_packed(
    x: torch.Tensor, base_features: int, positions: int, channel_outermost: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Packed [.., (C + D) p^2] -> contiguous base [.., C p^2] and detail [.., D p^2]."""
    if channel_outermost:
        return x[..., :base_features].contiguous(), x[..., base_features:].contiguous()
    channels = base_features // positions
    x = x.unflatten(-1, (positions, -1))
    return x[..., :channels].flatten(-2).contiguous(), x[..., channels:].flatten(-2).contiguous()


def join_packed(
    base: torch.Tensor, detail: torch.Tensor, positions: int, channel_outermost: bool
) -> torch.Tensor:
    """The inverse of `split_packed`."""
    if channel_outermost:
        return torch.cat([base, detail], -1)
    pair = [part.unflatten(-1, (positions, -1)) for part in (base, detail)]
    return torch.cat(pair, -1).flatten(-2)


@dataclass(frozen=True)
class ParameterChange:
    """What became of one parameter of the widened network."""

    name: str
    shape: tuple[int, ...]
    status: Status
    source: str
    """The pretrained parameter it comes from; empty if new."""


@dataclass(frozen=True)
class WidenReport:
    """Every parameter of the widened network, once.

    untouched: outside the widened layers; copied: the base part of a widened layer with its
    pretrained values; widened: made from a pretrained parameter by rescaling or tiling (`repeat`);
    new: without a pretrained value.
    """

    init: Init
    parameters: tuple[ParameterChange, ...]

    def names(self, status: Status) -> list[str]:
        """The parameters of one status."""
        return [p.name for p in self.parameters if p.status == status]

    def __str__(self) -> str:
        lines = [f"widened with init={self.init}:"]
        for status in ("untouched", "copied", "widened", "new"):
            chosen = [p for p in self.parameters if p.status == status]
            count = sum(math.prod(p.shape) for p in chosen)
            shown = (
                ""
                if status == "untouched"
                else ": " + ", ".join(f"{p.name} {list(p.shape)}" for p in chosen)
            )
            lines.append(
                f"  {status}: {len(chosen)} tensors, {count:,} values{shown if chosen else ''}"
            )
        return "\n".join(lines)


def widen(
    model: nn.Module,
    detail_channels: int,
    *,
    embed: str,
    head: str,
    positions: int,
    head_groups: int = 1,
    init: Init = "zero",
    channel_outermost: bool = False,
    generator: torch.Generator | None = None,
) -> WidenReport:
    """Widen `model` in place by D channels; returns what became of every parameter.

    embed, head: dotted names of the patch embedder (Conv2d, or Linear on packed patches) and of the
    linear head. positions: p^2 patch positions of a token. head_groups: how many outputs a channel
    has, group by group at every position (2: noise and variance). channel_outermost: order of the
    packed features (FLUX; in DiT and SD3 the channel is innermost).

    init (of the new layers; the base path keeps its weights except where said):
      zero    weights and bias 0 (the paper's); random  input columns Kaiming-uniform(a = sqrt 5),
      head rows U(+-1/sqrt width), head bias U(+-0.01); repeat  base input columns tiled over the
      new channels and all, the base's too, divided by
              ceil((C + D) / C); head rows and bias tiled undivided;
      random_in, random_out  as random in the input columns or the head rows alone, the others 0;
      reset   as random, and the base layers are drawn anew too: nothing of the two layers is kept.

    Raises ValueError for layers of other types, names that are not there, or sizes that do not fit.
    """
    if detail_channels < 1:
        raise ValueError(f"detail_channels is {detail_channels}; widening adds at least 1")
    old_embed, old_head = _layer(model, embed), _layer(model, head)
    if not isinstance(old_head, nn.Linear):
        raise ValueError(
            f"the head {head!r} is a {type(old_head).__name__}; a Linear can be widened"
        )
    outputs = positions * head_groups
    if old_head.out_features % outputs:
        conflict = f"the head {head!r} has {old_head.out_features} outputs"
        raise ValueError(f"{conflict}, which {outputs} patch positions do not divide")
    before = {name for name, _ in model.named_parameters()}
    new_embed: WidenedConv2d | WidenedLinear
    if isinstance(old_embed, nn.Conv2d):
        new_embed = WidenedConv2d(old_embed, detail_channels)
    elif isinstance(old_embed, nn.Linear):
        new_embed = WidenedLinear(old_embed, detail_channels, positions, channel_outermost)
    else:
        raise ValueError(
            f"the patch embedder {embed!r} is a {type(old_embed).__name__}; Conv2d or Linear "
            "can be widened"
        )
    new_head = WidenedHead(old_head, detail_channels, outputs, channel_outermost)
    initialise(new_embed, new_head, init, generator)
    _replace(model, embed, new_embed)
    _replace(model, head, new_head)
    return _report(model, embed, head, init, before)


@torch.no_grad()
def initialise(
    embed: WidenedConv2d | WidenedLinear,
    head: WidenedHead,
    init: Init,
    generator: torch.Generator | None,
) -> None:
    """Fill the new layers (and rescale or redraw the base ones) as `widen` describes."""
    if init not in get_args(Init):
        raise ValueError(f"init is {init!r}; it is one of {', '.join(get_args(Init))}")
    if init == "repeat":
        _repeat(embed, head)
        return
    for parameter in (*embed.detail.parameters(), *head.detail.parameters()):
        nn.init.zeros_(parameter)
    if init in ("random", "random_in", "reset"):
        _draw_embed(embed.detail, generator)
    if init in ("random", "random_out", "reset"):
        _draw_head(head.detail, generator)
    if init == "reset":
        _draw_embed(embed.base, generator)
        _draw_head(head.base, generator)


def _draw_embed(layer: nn.Conv2d | nn.Linear, generator: torch.Generator | None) -> None:
    nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
    if layer.bias is not None:
        bound = 1 / math.sqrt(layer.weight[0].numel())
        nn.init.uniform_(layer.bias, -bound, bound, generator=generator)


def _draw_head(layer: nn.Linear, generator: torch.Generator | None) -> None:
    bound = 1 / math.sqrt(layer.in_features)
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    if layer.bias is not None:
        nn.init.uniform_(layer.bias, -0.01, 0.01, generator=generator)


def _repeat(embed: WidenedConv2d | WidenedLinear, head: WidenedHead) -> None:
    """Tile base columns and rows over the detail channels; divide the columns by the tiling."""
    positions, outermost = head.positions, head.channel_outermost
    channels = head.base.out_features // positions
    wide = head.detail.out_features // positions
    tile = torch.arange(channels, channels + wide) % channels
    divisor = math.ceil((channels + wide) / channels)
    if isinstance(embed, WidenedConv2d):
        embed.detail.weight.copy_(embed.base.weight[:, tile] / divisor)
    else:
        columns = _by_channel(embed.base.weight.T, embed.positions, outermost)[tile]
        embed.detail.weight.copy_(_from_channel(columns, outermost).T / divisor)
    embed.base.weight.div_(divisor)
    head.detail.weight.copy_(
        _from_channel(_by_channel(head.base.weight, positions, outermost)[tile], outermost)
    )
    if head.base.bias is None:
        nn.init.zeros_(head.detail.bias)
    else:
        bias = _by_channel(head.base.bias[:, None], positions, outermost)[tile]
        head.detail.bias.copy_(_from_channel(bias, outermost)[:, 0])


def _by_channel(rows: torch.Tensor, positions: int, outermost: bool) -> torch.Tensor:
    """Packed rows [C p^2, d] -> [C, p^2, d]."""
    if outermost:
        return rows.unflatten(0, (-1, positions))
    return rows.unflatten(0, (positions, -1)).transpose(0, 1)


def _from_channel(rows: torch.Tensor, outermost: bool) -> torch.Tensor:
    """The inverse of `_by_channel`."""
    return (rows if outermost else rows.transpose(0, 1)).flatten(0, 1)


def _layer(model: nn.Module, name: str) -> nn.Module:
    try:
        return model.get_submodule(name)
    except AttributeError as error:
        raise ValueError(f"{type(model).__name__} has no layer {name!r} ({error})") from error


def _replace(model: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, layer)


def _report(model: nn.Module, embed: str, head: str, init: Init, before: set[str]) -> WidenReport:
    changes = []
    status: Status
    for name, parameter in model.named_parameters():
        layer = next((layer for layer in (embed, head) if name.startswith(f"{layer}.")), None)
        source, status = name, "untouched"
        if layer is not None:
            part, leaf = name.removeprefix(f"{layer}.").split(".")
            source = f"{layer}.{leaf}"
            is_new = init == "reset" or (part == "detail" and init != "repeat")
            if is_new or source not in before:
                source, status = "", "new"
            else:
                rescaled = init == "repeat" and layer == embed and leaf == "weight"
                status = "widened" if part == "detail" or rescaled else "copied"
        changes.append(ParameterChange(name, tuple(parameter.shape), status, source))
    return WidenReport(init, tuple(changes))
