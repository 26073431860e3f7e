"""The parts of a LightningDiT block: positions, rotary attention, SwiGLU, adaLN-zero."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

TIME_CHANNELS = 256


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
