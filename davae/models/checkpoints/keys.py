"""Names of public checkpoints and ours, both ways: LDM's autoencoders, DA-VAE's, LightningDiT's.

Every function takes and gives plain tensors by name, so that it serves `meta` tensors as well.
"""

from __future__ import annotations

import re
from typing import Any

import torch

from davae.method.widen import join_packed, split_packed
from davae.models.davae import DAVAEConfig
from davae.models.dit import DiTConfig
from davae.models.dit_blocks import rotary_table, sincos_positions

Tensors = dict[str, torch.Tensor]

LDM = (
    ("mid.block_1", "mid_block.resnets.0"),
    ("mid.block_2", "mid_block.resnets.1"),
    ("mid.attn_1", "mid_block.attentions.0"),
    ("down.#.block", "down_blocks.#.resnets"),
    ("down.#.attn", "down_blocks.#.attentions"),
    ("down.#.downsample", "down_blocks.#.downsamplers.0"),
    ("up.#.block", "up_blocks.#.resnets"),
    ("up.#.attn", "up_blocks.#.attentions"),
    ("up.#.upsample", "up_blocks.#.upsamplers.0"),
    ("nin_shortcut", "conv_shortcut"),
    ("norm_out", "conv_norm_out"),
)
"""LDM's parts of a name and diffusers'; # is a number, and up blocks are counted from the other
end."""
ATTENTION = (
    ("norm", "group_norm"),
    ("q", "to_q"),
    ("k", "to_k"),
    ("v", "to_v"),
    ("proj_out", "to_out.0"),
)
"""Below an attention layer."""
PARTS = (
    ("da.encoder", "detail_encoder"),
    ("da.decoder", "decoder"),
    ("da.da_down", "detail_down"),
    ("da.da_up", "detail_up"),
)
"""The released DA-VAE's parts and ours; the older release says dc for da."""
BYPASSED = ("da.encoder.conv_out.", "da.decoder.conv_in.")
"""Layers that the released networks hold and never run."""
STATISTICS = ("detail_mean", "detail_std")
"""Our buffers, which no released checkpoint has."""
TABLES = ("pos_embed", "feat_rope.freqs_cos", "feat_rope.freqs_sin")
"""Fixed tables in a LightningDiT checkpoint."""


def current_name(name: str) -> str:
    """A released DA-VAE's key in the newer naming: `dc.`, `dc_down`, `dc_up` become `da.`,
    `da_down`, `da_up`."""
    return re.sub(r"\bdc_(down|up)\b", r"da_\1", re.sub(r"^dc\.", "da.", name))


def count_of(tensors: Tensors, pattern: str) -> int:
    """1 + the largest number that `pattern` captures in any name; 0 if none does."""
    numbers = [int(m[1]) for name in tensors if (m := re.match(pattern, name))]
    return max(numbers, default=-1) + 1


def _flip(name: str, levels: int) -> str:
    return re.sub(r"\.up_blocks\.(\d+)\.", lambda m: f".up_blocks.{levels - 1 - int(m[1])}.", name)


def from_ldm(tensors: Tensors, levels: int) -> Tensors:
    """LDM's (or already diffusers') names and shapes of an autoencoder of `levels` levels to
    diffusers'."""
    ldm = any(".mid.block_1." in name for name in tensors)
    out = {}
    for old, tensor in tensors.items():
        name = old
        if ldm:
            for theirs, ours in LDM:
                pattern = re.escape(theirs).replace(r"\#", r"(\d+)")
                name = re.sub(rf"\.{pattern}\.", "." + ours.replace("#", r"\1") + ".", name)
            name = _flip(name, levels)
            for theirs, ours in ATTENTION:
                name = re.sub(rf"(\.attentions\.\d+)\.{theirs}\.", rf"\1.{ours}.", name)
        matrix = ".attentions." in name and tensor.ndim == 4
        out[name] = tensor[:, :, 0, 0] if matrix else tensor
    return out


def to_ldm(tensors: Tensors, levels: int) -> Tensors:
    """The inverse of `from_ldm`: attention's matrices become 1x1 convolutions."""
    out = {}
    for old, tensor in tensors.items():
        name = _flip(old, levels)
        for theirs, ours in ATTENTION:
            name = re.sub(rf"(\.attentions\.\d+)\.{re.escape(ours)}\.", rf"\1.{theirs}.", name)
        for theirs, ours in LDM:
            pattern = re.escape(ours).replace(r"\#", r"(\d+)")
            name = re.sub(rf"\.{pattern}\.", "." + theirs.replace("#", r"\1") + ".", name)
        convolution = ".attentions." in old and tensor.ndim == 2
        out[name] = tensor[:, :, None, None] if convolution else tensor
    return out


def davae_from_public(tensors: Tensors, levels: int) -> tuple[Tensors, list[str]]:
    """A released DA-VAE's tensors under our names, and the bypassed keys that are left out."""
    bypassed = sorted(name for name in tensors if name.startswith(BYPASSED))
    kept = {}
    for old, tensor in tensors.items():
        if old in bypassed:
            continue
        name = old
        for theirs, ours in PARTS:
            name = re.sub(rf"^{re.escape(theirs)}\.", f"{ours}.", name)
        kept[name] = tensor
    return from_ldm(kept, levels), bypassed


def davae_to_public(tensors: Tensors, config: DAVAEConfig) -> Tensors:
    """Our tensors under the released names, the bypassed layers filled with zeros; statistics are
    left out."""
    out = {}
    for old, tensor in to_ldm(tensors, len(config.base_widths)).items():
        if old in STATISTICS:
            continue
        name = old
        for theirs, ours in PARTS:
            name = re.sub(rf"^{ours}\.", f"{theirs}.", name)
        out[name] = tensor
    width, base = config.base_widths[-1], config.base_channels
    like = out["da.da_up.conv.weight"]
    shapes = {"da.encoder.conv_out": (2 * base, width), "da.decoder.conv_in": (width, base)}
    for name, (rows, columns) in shapes.items():
        out[f"{name}.weight"], out[f"{name}.bias"] = (
            like.new_zeros(rows, columns, 3, 3),
            like.new_zeros(rows),
        )
    return out


def base_first(tensors: Tensors, detail: int) -> Tensors:
    """A DA-VAE whose latent is [detail | base] for [base | detail]: the up block's input columns
    exchanged.

    Its shortcut keeps the order of the released network, which `DAVAEConfig.detail_first` tells the
    network."""
    name = "da.da_up.conv.weight"
    return {**tensors, name: torch.cat([tensors[name][:, detail:], tensors[name][:, :detail]], 1)}


def detail_first(tensors: Tensors, base: int) -> Tensors:
    """The inverse of `base_first`."""
    return base_first(tensors, base)


def dit_from_public(tensors: Tensors, config: DiTConfig) -> Tensors:
    """A LightningDiT's tensors without its tables, the two end layers split where the config has
    detail channels."""
    out = {name: tensor for name, tensor in tensors.items() if name not in TABLES}
    if not config.detail_channels:
        return out
    base, area = config.in_channels - config.detail_channels, config.patch_size**2
    embed = out.pop("x_embedder.proj.weight")
    out["x_embedder.proj.base.weight"], out["x_embedder.proj.detail.weight"] = (
        embed[:, :base],
        embed[:, base:],
    )
    out["x_embedder.proj.base.bias"] = out.pop("x_embedder.proj.bias")
    for leaf in ("weight", "bias"):
        rows = out.pop(f"final_layer.linear.{leaf}")
        parts = split_packed(rows.movedim(0, -1), base * area, area, channel_outermost=False)
        for part, values in zip(("base", "detail"), parts, strict=True):
            out[f"final_layer.linear.{part}.{leaf}"] = values.movedim(-1, 0)
    return out


def dit_to_public(tensors: Tensors, config: DiTConfig) -> Tensors:
    """The inverse of `dit_from_public`, with the tables."""
    out = dict(tensors)
    if config.detail_channels:
        weights = [out.pop(f"x_embedder.proj.{part}.weight") for part in ("base", "detail")]
        out["x_embedder.proj.weight"] = torch.cat(weights, 1)
        out["x_embedder.proj.bias"] = out.pop("x_embedder.proj.base.bias")
        for leaf in ("weight", "bias"):
            base, detail = (
                out.pop(f"final_layer.linear.{p}.{leaf}").movedim(0, -1) for p in ("base", "detail")
            )
            joined = join_packed(base, detail, config.patch_size**2, channel_outermost=False)
            out[f"final_layer.linear.{leaf}"] = joined.movedim(-1, 0)
    return {**out, **dit_tables(config)}


def dit_tables(config: DiTConfig) -> Tensors:
    """The fixed position embedding [1, T, d] and the rotary tables [T, head] of a LightningDiT
    checkpoint."""
    grid = config.input_size // config.patch_size
    cos, sin = rotary_table(grid, config.hidden_size // config.num_heads)
    tables: Any = (sincos_positions(grid, config.hidden_size)[None], cos, sin)
    return dict(zip(TABLES, tables, strict=True))
