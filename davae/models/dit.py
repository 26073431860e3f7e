"""A LightningDiT-style diffusion transformer: SwiGLU, RMSNorm, 2-D axial RoPE, adaLN-zero.

Facts of the block: Yao et al. 2025 (LightningDiT), Peebles & Xie 2023 (DiT, adaLN-zero),
Su et al. 2021 (RoPE). Parameter names follow the public LightningDiT checkpoints, so that those
convert by name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn

from davae.method.widen import WidenedConv2d, WidenedHead

TIME_CHANNELS = 256


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


def sincos_positions(size: int, width: int) -> torch.Tensor:
    """Fixed 2-D sin-cos embedding [size^2, width]: the column index first, then the row index."""
    frequency = 10_000 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    angle = torch.arange(size, dtype=torch.float64)[:, None] * frequency
    line = torch.cat([angle.sin(), angle.cos()], 1)
    columns = line[None].expand(size, size, -1)
    rows = line[:, None].expand(size, size, -1)
    return torch.cat([columns, rows], 2).reshape(size * size, width).float()


def rotary_table(size: int, head_dim: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(cos, sin) of 2-D axial RoPE, [size^2, head_dim]: half for rows, then half for columns.

    Each angle stands twice, for the pair (x_2i, x_2i+1) that it turns.
    """
    half = head_dim // 2
    frequency = 10_000 ** -(torch.arange(0, half, 2, dtype=torch.float64) / half)
    line = (torch.arange(size, dtype=torch.float64)[:, None] * frequency).repeat_interleave(2, 1)
    rows = line[:, None].expand(size, size, -1)
    columns = line[None].expand(size, size, -1)
    angle = torch.cat([rows, columns], 2).reshape(size * size, head_dim)
    return angle.cos().float(), angle.sin().float()


def rotate(x: torch.Tensor, cos: torch.Tensor, signed_sin: torch.Tensor) -> torch.Tensor:
    """Rotate interleaved pairs (x_2i, x_2i+1) of [..., head_dim] by the angles of the tables.

    signed_sin is `signed(sin)`: x cos + (x_2i+1, x_2i) (-sin, sin).
    """
    swapped = x.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
    return torch.addcmul(x * cos, swapped, signed_sin)


def signed(sin: torch.Tensor) -> torch.Tensor:
    """A rotary table's sines with those at even places negated."""
    return sin.unflatten(-1, (-1, 2)).mul(sin.new_tensor([-1.0, 1.0])).flatten(-2)


def time_features(t: torch.Tensor, channels: int = TIME_CHANNELS) -> torch.Tensor:
    """[B] raw times in [0, 1] -> [B, channels]: cosines, then sines."""
    half = channels // 2
    frequency = torch.exp(-math.log(10_000) * torch.arange(half, device=t.device) / half)
    angle = t[:, None].float() * frequency
    return torch.cat([angle.cos(), angle.sin()], 1)


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + 1e-6), computed in float32, times a learned scale."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def unscaled(self, x: torch.Tensor) -> torch.Tensor:
        """The norm without its learned scale, in the dtype of x."""
        return F.rms_norm(x.float(), x.shape[-1:], eps=1e-6).to(x.dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.unscaled(x) * self.weight


class Attention(nn.Module):
    """Multi-head self-attention with optional per-head RMSNorm of q and k before RoPE."""

    def __init__(self, width: int, num_heads: int, qk_norm: bool):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.q_norm = RMSNorm(width // num_heads) if qk_norm else nn.Identity()
        self.k_norm = RMSNorm(width // num_heads) if qk_norm else nn.Identity()
        self.proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        # heads stay side by side in [B, T, d] as long as they can: products over short rows are
        # slow
        q, k, v = self.qkv(x).chunk(3, -1)
        q, k = (
            rotate(self.normed(norm, part), cos, sin)
            for norm, part in ((self.q_norm, q), (self.k_norm, k))
        )
        # [B, T, d] -> [B, heads, T, head_dim], as the kernel takes them
        q, k, v = (
            part.to(v.dtype).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for part in (q, k, v)
        )
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))

    def normed(self, norm: nn.Module, x: torch.Tensor) -> torch.Tensor:
        """The norm of each head of [B, T, d]."""
        if not isinstance(norm, RMSNorm):
            return x
        heads = norm.unscaled(x.unflatten(-1, (self.num_heads, -1)))
        return heads.flatten(-2) * norm.weight.repeat(self.num_heads)


class SwiGLU(nn.Module):
    """w3(silu(a) * b), (a, b) = w12(x); hidden width 2/3 of 4 d."""

    def __init__(self, width: int):
        super().__init__()
        hidden = 8 * width // 3
        self.w12 = nn.Linear(width, 2 * hidden)
        self.w3 = nn.Linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate, value = self.w12(x).chunk(2, -1)
        return self.w3(F.silu(gate) * value)


def modulate(
    norm: RMSNorm, x: torch.Tensor, shift: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    """norm(x) (1 + scale) + shift, for x [B, T, d] and shift, scale [B, d]; the two scales meet
    first."""
    return torch.addcmul(shift[:, None], norm.unscaled(x), (norm.weight * (1 + scale))[:, None])


class Block(nn.Module):
    """Attention and SwiGLU, each with (shift, scale, gate) from the condition (adaLN-zero)."""

    def __init__(self, width: int, num_heads: int, qk_norm: bool):
        super().__init__()
        self.norm1 = RMSNorm(width)
        self.attn = Attention(width, num_heads, qk_norm)
        self.norm2 = RMSNorm(width)
        self.mlp = SwiGLU(width)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(
        self, x: torch.Tensor, condition: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
    ) -> torch.Tensor:
        shift_a, scale_a, gate_a, shift_m, scale_m, gate_m = self.adaLN_modulation(condition).chunk(
            6, -1
        )
        x = torch.addcmul(
            x, gate_a[:, None], self.attn(modulate(self.norm1, x, shift_a, scale_a), cos, sin)
        )
        return torch.addcmul(
            x, gate_m[:, None], self.mlp(modulate(self.norm2, x, shift_m, scale_m))
        )


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
    ):
        super().__init__()
        config = DiTConfig(**{k: self.config[k] for k in DiTConfig.__dataclass_fields__})
        check_dit(config)
        self.x_embedder = PatchEmbed(config)
        self.t_embedder = TimeEmbed(hidden_size)
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
                nn.init.zeros_(module.bias)
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
        """x [B, C + D, H, W]; t [B] in [0, 1]; y int64 [B] in [0, num_classes] -> v like x."""
        return self.velocity(x, self.t_embedder(t), self.y_embedder(y))

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
