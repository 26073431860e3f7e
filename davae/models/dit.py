"""A LightningDiT-style diffusion transformer: SwiGLU, RMSNorm, 2-D axial RoPE, adaLN-zero.

Facts of the block: Yao et al. 2025 (LightningDiT), Peebles & Xie 2023 (DiT, adaLN-zero),
Su et al. 2021 (RoPE). Parameter names follow the public LightningDiT checkpoints, so that those
convert by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn

from davae.method.widen import WidenedConv2d, WidenedHead
from davae.models.dit_blocks import (
    TIME_CHANNELS,
    Block,
    RMSNorm,
    modulate,
    rotary_table,
    signed,
    sincos_positions,
    time_features,
)


@dataclass(frozen=True)
class DiTConfig:
    """The constructor's arguments of `DiT`, one to one."""

    in_channels: int = 4
    """Channels of the latent, base and detail together."""
    detail_channels: int = 0
    """How many of them, at the end, are detail: their layers are kept apart from the base's."""
    input_size: int = 8
    """Side of the latent."""
    patch_size: int = 1
    hidden_size: int = 192
    depth: int = 4
    num_heads: int = 6
    num_classes: int = 10
    qk_norm: bool = True
    detail_time: bool = False
    """Whether the detail has a time of its own, which a further, at first zero, layer reads."""


class PatchEmbed(nn.Module):
    """A convolution of kernel and stride p: [B, C, H, W] -> [B, T, d]."""

    def __init__(self, config: DiTConfig):
        super().__init__()
        base = config.in_channels - config.detail_channels
        conv = nn.Conv2d(base, config.hidden_size, config.patch_size, config.patch_size)
        self.proj: nn.Module = conv
        if config.detail_channels:
            self.proj = WidenedConv2d(conv, config.detail_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)


class TimeEmbed(nn.Module):
    """Sinusoidal features of the raw t, then a two-layer MLP."""

    def __init__(self, width: int):
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(TIME_CHANNELS, width), nn.SiLU(), nn.Linear(width, width)
        )

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        return self.mlp(time_features(t))


class LabelEmbed(nn.Module):
    """A table of num_classes + 1 rows, the last for the null label."""

    def __init__(self, num_classes: int, width: int):
        super().__init__()
        self.embedding_table = nn.Embedding(num_classes + 1, width)

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return self.embedding_table(y)


class FinalLayer(nn.Module):
    """adaLN, then a linear map to p^2 positions of the output's channels, channel innermost."""

    def __init__(self, config: DiTConfig):
        super().__init__()
        width, area = config.hidden_size, config.patch_size**2
        self.norm_final = RMSNorm(width)
        linear = nn.Linear(width, area * (config.in_channels - config.detail_channels))
        self.linear: nn.Module = linear
        if config.detail_channels:
            self.linear = WidenedHead(linear, config.detail_channels, positions=area)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        shift, scale = self.adaLN_modulation(condition).chunk(2, -1)
        return self.linear(modulate(self.norm_final, x, shift, scale))


class DiT(ModelMixin, ConfigMixin):
    """v(x_t, t, y): the velocity x_1 - noise, with t = 1 at data.

    Constructed as `DiT(**asdict(DiTConfig(...)))`; `from_pretrained` and `save_pretrained` are
    diffusers'.
    """

    _no_split_modules: ClassVar = ["Block"]

    @register_to_config
    def __init__(
        self,
        in_channels: int = 4,
        detail_channels: int = 0,
        input_size: int = 8,
        patch_size: int = 1,
        hidden_size: int = 192,
        depth: int = 4,
        num_heads: int = 6,
        num_classes: int = 10,
        qk_norm: bool = True,
        detail_time: bool = False,
    ):
        super().__init__()
        config = DiTConfig(**{k: self.config[k] for k in DiTConfig.__dataclass_fields__})
        check_dit(config)
        self.x_embedder = PatchEmbed(config)
        self.t_embedder = TimeEmbed(hidden_size)
        self.lag_embedder = detail_time_layer(hidden_size) if detail_time else None
        self.y_embedder = LabelEmbed(num_classes, hidden_size)
        self.blocks = nn.ModuleList(Block(hidden_size, num_heads, qk_norm) for _ in range(depth))
        self.final_layer = FinalLayer(config)
        self.initialise()
        grid = input_size // patch_size
        cos, sin = rotary_table(grid, hidden_size // num_heads)
        self.register_buffer(
            "pos_embed", sincos_positions(grid, hidden_size)[None], persistent=False
        )
        self.register_buffer(
            "rope_cos", cos.repeat(1, num_heads), persistent=False
        )  # [T, d]: alike for all heads
        self.register_buffer("rope_sin", signed(sin).repeat(1, num_heads), persistent=False)

    def initialise(self) -> None:
        """Xavier-uniform linears, N(0, 0.02) embeddings, zero modulations and head (adaLN-zero)."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if self.lag_embedder is not None:
            nn.init.zeros_(self.lag_embedder.weight)
        embed: Any = self.x_embedder.proj
        conv: Any = embed.base if isinstance(embed, WidenedConv2d) else embed
        nn.init.xavier_uniform_(conv.weight.view(conv.weight.shape[0], -1))
        nn.init.zeros_(conv.bias)
        for index in (0, 2):
            nn.init.normal_(self.t_embedder.mlp.get_parameter(f"{index}.weight"), std=0.02)
        nn.init.normal_(self.y_embedder.embedding_table.weight, std=0.02)
        head: Any = self.final_layer.linear
        modulated: list[Any] = [*self.blocks, self.final_layer]
        zero = [part.adaLN_modulation[-1] for part in modulated]
        zero += [head.base, head.detail] if isinstance(head, WidenedHead) else [head]
        for linear in zero:
            nn.init.zeros_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, x: torch.Tensor, t: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """x [B, C + D, H, W]; t [B] in [0, 1], or [B, 2] for base and detail; y int64 [B] in
        [0, num_classes] -> v like x."""
        return self.velocity(x, self.embed_time(t), self.y_embedder(y))

    def embed_time(self, t: torch.Tensor) -> torch.Tensor:
        """[B] times, or [B, 2] of base and detail where the detail has its own -> [B, d]."""
        if self.lag_embedder is None:
            return self.t_embedder(t)
        base, detail = t.unbind(-1)
        return self.t_embedder(base) + self.lag_embedder(self.t_embedder(detail))

    def give_detail_time(self) -> None:
        """Let the detail have a time of its own; at first it changes nothing."""
        self.lag_embedder = detail_time_layer(self.config.hidden_size)
        self.register_to_config(detail_time=True)

    def velocity(self, x: torch.Tensor, time: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        """`forward` from the embedded time [B or 1, d] and label [B, d], for callers that keep
        them."""
        size, patch = self.config.input_size, self.config.patch_size
        if x.shape[1:] != (self.config.in_channels, size, size):
            want = f"[B, {self.config.in_channels}, {size}, {size}]"
            raise ValueError(f"the latent has shape {list(x.shape)}; this DiT takes {want}")
        tokens = self.x_embedder(x) + self.pos_embed
        condition = time + label
        for block in self.blocks:
            tokens = block(tokens, condition, self.rope_cos, self.rope_sin)
        patches = self.final_layer(tokens, condition)
        grid = size // patch
        patches = patches.unflatten(1, (grid, grid)).unflatten(-1, (patch, patch, -1))
        return patches.permute(0, 5, 1, 3, 2, 4).reshape(x.shape)


def detail_time_layer(width: int) -> nn.Linear:
    """The zero layer that the detail's embedded time goes through into the condition."""
    layer = nn.Linear(width, width, bias=False)
    nn.init.zeros_(layer.weight)
    return layer


def check_dit(config: DiTConfig) -> None:
    """Raise ValueError for sizes that do not fit together."""
    if config.input_size % config.patch_size:
        raise ValueError(
            f"patch_size {config.patch_size} does not divide input_size {config.input_size}"
        )
    if config.hidden_size % (4 * config.num_heads):
        conflict = f"hidden_size {config.hidden_size} and num_heads {config.num_heads}"
        raise ValueError(f"{conflict}: the width of a head must be a multiple of 4 (2-D RoPE)")
    if not 0 <= config.detail_channels < config.in_channels:
        conflict = f"detail_channels {config.detail_channels} of in_channels {config.in_channels}"
        raise ValueError(f"{conflict}: at least one base channel must remain")
