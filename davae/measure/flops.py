"""FLOPs of what a function really runs (2 a multiply-add), attention included on every device."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.utils.flop_counter import (
    FlopCounterMode,
    flop_registry,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

MULTIPLIES = re.compile(r"mm$|mv$|matmul|convolution|attention|conv_?\dd|lstm|gru|linear$|dot$")
"""Names of operators whose FLOPs are to be counted."""


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward(grad_out: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_backward_flop_count(grad_out, query, key, value)


# FlopCounterMode knows the CUDA attention kernels only (torch 2.14) and counts the CPU one as 0.
CPU_ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
}


def count_flops(run: Callable[[], Any]) -> tuple[int, Any]:
    """(FLOPs, result) of `run()`: matrix products, convolutions and attention."""
    with FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION) as counter:
        result = run()
    return counter.get_total_flops(), result


def check_counted(operators: Iterable[str]) -> None:
    """Raise ValueError for operators, as `aten.addmm`, that multiply and that no formula counts."""
    counted = {str(packet) for packet in (*flop_registry, *CPU_ATTENTION)}
    missed = sorted(name for name in operators if MULTIPLIES.search(name) and name not in counted)
    if missed:
        raise ValueError(f"no FLOP formula for {', '.join(missed)}: add one to davae.measure.flops")


def dit_forward_flops(tokens: int, width: int, depth: int, batch: int = 1) -> int:
    """Closed form of a DiT's blocks, MLP and attention only: depth (24 T d^2 + 4 T^2 d) a sample.

    SwiGLU's three matrices of hidden width 8/3 d cost what a plain MLP of ratio 4 does.
    """
    return batch * depth * (24 * tokens * width**2 + 4 * tokens**2 * width)
