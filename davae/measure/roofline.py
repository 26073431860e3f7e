"""The machine's own ceilings, measured: matrix product, 3x3 convolution, copy."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from davae.measure.timing import block_seconds


def _rate(run: Callable[[], object], flops: int, seconds: float, device: torch.device) -> float:
    """FLOP/s of `run`, the best of blocks of three that last `seconds` in all."""
    block_seconds(run, 3, device)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        best = min(best, block_seconds(run, 3, device))
    return flops / best


def matmul_rate(
    device: str = "cpu", seconds: float = 0.5, dtype: torch.dtype = torch.float32
) -> float:
    """FLOP/s of a [2048, 768] x [768, 3072] product; on a GPU, which that would not fill, of
    [8192, 8192] x [8192, 8192]."""
    where = torch.device(device)
    m, k, n = (8192, 8192, 8192) if where.type == "cuda" else (2048, 768, 3072)
    a, b = (torch.randn(shape, device=where).to(dtype) for shape in ((m, k), (k, n)))
    return _rate(lambda: a @ b, 2 * m * k * n, seconds, where)


def convolution_rate(
    device: str = "cpu", seconds: float = 0.5, dtype: torch.dtype = torch.float32
) -> float:
    """FLOP/s of a 128-channel 3x3 convolution of 64 x 64, batch 2, channels last; on a GPU of 512
    channels and 128 x 128."""
    where = torch.device(device)
    c, side = (512, 128) if where.type == "cuda" else (128, 64)
    x, w = (
        torch.randn(shape, device=where).to(dtype).to(memory_format=torch.channels_last)
        for shape in ((2, c, side, side), (c, c, 3, 3))
    )
    flops = 2 * 9 * c * c * side * side * 2
    return _rate(lambda: F.conv2d(x, w, padding=1), flops, seconds, where)


def copy_rate(device: str = "cpu", seconds: float = 0.5) -> float:
    """Bytes a second read and written by a copy of 256 MiB, which no cache holds."""
    where = torch.device(device)
    source = torch.ones(2**26, device=where)
    target = torch.empty_like(source)
    return _rate(lambda: target.copy_(source), 2 * 4 * 2**26, seconds, where)


def weight_gradient_rates(device: str = "cpu", seconds: float = 0.25) -> dict[str, float]:
    """FLOP/s of the weight gradient of a channels-last 64-channel 3x3 convolution of 64 x 64, batch
    2: in its own layout, and in the contiguous one, the conversion included."""
    where = torch.device(device)
    x, grad = (
        torch.randn(2, 64, 64, 64, device=where).to(memory_format=torch.channels_last)
        for _ in range(2)
    )
    w = torch.randn(64, 64, 3, 3, device=where).to(memory_format=torch.channels_last)
    options = (None, (1, 1), (1, 1), (1, 1), False, (0, 0), 1, [False, True, False])

    def own() -> object:
        return torch.ops.aten.convolution_backward(grad, x, w, *options)

    def contiguous() -> object:
        plain = (grad.contiguous(), x.contiguous(), w.contiguous())
        return torch.ops.aten.convolution_backward(*plain, *options)

    flops = 2 * 9 * 64 * 64 * 64 * 64 * 2
    layouts = {"channels_last": own, "contiguous": contiguous}
    return {name: _rate(run, flops, seconds, where) for name, run in layouts.items()}
