"""FLOPs of what a function really runs (2 a multiply-add), attention included on every device."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import (
    FlopCounterMode,
    flop_registry,
    sdpa_backward_flop_count,
    sdpa_flop_count,
)

MULTIPLIES = re.compile(
    r"mm$|mv$|matmul|convolution|attention|conv_?\dd|lstm|gru|rnn|linear$|dot$|addmm|encoder_layer"
    r"|trilinear$|aten\.bilinear$|cdist|einsum"
)
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


class Operators(TorchDispatchMode):
    """Names of the operators that run while it is active, composite ones taken apart."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        if torch.is_inference_mode_enabled():  # composite operators arrive whole
            with self:
                parts = func.decompose(*args, **(kwargs or {}))
            if parts is not NotImplemented:
                return parts
        out = func(*args, **(kwargs or {}))
        self.calls[func._schema.name.replace("::", ".")] += 1
        self.seen(func, args, kwargs, out)
        return out

    def seen(self, func: Any, args: tuple, kwargs: dict | None, out: Any) -> None:
        """What else is to be noted of a call."""


def count_flops(run: Callable[[], Any]) -> tuple[int, Any]:
    """(FLOPs, result) of `run()`: matrix products, convolutions and attention.

    Raises ValueError where an operator multiplies matrices and has no FLOP formula."""
    operators = Operators()
    with FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION) as counter, operators:
        result = run()
    check_counted(operators.calls)
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
