"""Memory of a run on a GPU that is not there.

Networks are built of fake CUDA tensors, which have a shape, a type and a device and hold nothing,
and every storage that a run makes is counted while it lives. What a backward pass needs is counted
as the forward pass leaves it: the backward pass itself cannot run so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from davae.measure.counters import LiveBytes, tensors


@dataclass(frozen=True)
class Footprint:
    """Bytes of what a run makes; weights and inputs are not among them."""

    kept: int
    """Alive at its end, its result among them: what a backward pass needs."""
    peak: int
    """The most that were alive at once."""


@contextmanager
def imagined_gpu() -> Iterator[None]:
    """What is built inside is on a GPU that is not there, the same one every time; attention is the
    fused kernel's."""
    with the_gpu(), torch.device("cuda"), FusedKernels():
        yield


@cache
def the_gpu() -> FakeTensorMode:
    """Where the fake tensors are."""
    return FakeTensorMode(allow_non_fake_inputs=True)


def imagine(make: Callable[[], Any], dtype: torch.dtype | None = None) -> Any:
    """The network that `make()` builds, on `meta`, with tensors of the fake mode and the device
    around this call (the imagined GPU's) in the place of its own: convolutions channels-last,
    floating ones in `dtype` where it is given."""
    with unset_fake_temporarily(), torch.device("meta"):
        network = make()
    for module in network.modules():
        for tensors_of in (module._parameters, module._buffers):
            for name, tensor in tensors_of.items():
                if tensor is None:
                    continue
                wide = dtype if dtype and tensor.is_floating_point() else tensor.dtype
                layout = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
                new = torch.empty(tensor.shape, dtype=wide, memory_format=layout)
                if isinstance(tensor, nn.Parameter):
                    new = nn.Parameter(new, tensor.requires_grad)
                tensors_of[name] = new
    return network


def footprint(run: Callable[[], Any], dtype: str = "bfloat16") -> Footprint:
    """What `run()` keeps and what it takes at most, inside `imagined_gpu`, its products in `dtype`
    (torch.autocast)."""
    counter = Counting()
    with casting(dtype), counter:
        result = run()
        kept = counter.live.now
        del result
    return Footprint(kept, counter.live.peak)


@contextmanager
def casting(dtype: str) -> Iterator[None]:
    """torch.autocast of CUDA, which itself asks for a driver."""
    if dtype == "float32":
        yield
        return
    torch.set_autocast_enabled("cuda", True)
    torch.set_autocast_dtype("cuda", getattr(torch, dtype))
    torch.autocast_increment_nesting()
    try:
        yield
    finally:
        if not torch.autocast_decrement_nesting():
            torch.clear_autocast_cache()
        torch.set_autocast_enabled("cuda", False)


class Counting(TorchDispatchMode):
    """Counts the storages that operators make, and the copies that CUDA's kernels make inside."""

    def __init__(self) -> None:
        super().__init__()
        self.live = LiveBytes()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if func._schema.name == "aten::convolution":
            out = laid_out(out, *args[:2])
        given = {t.untyped_storage()._cdata for t in tensors((args, kwargs))}
        for tensor in tensors(out):
            if tensor.untyped_storage()._cdata not in given:
                self.live.add(tensor)
        wanted = LAYOUTS.get(func._schema.name)
        if wanted and args[0].ndim == 4 and not args[0].is_contiguous(memory_format=wanted):
            inside = args[0].numel() * args[0].element_size()
            self.live.peak = max(self.live.peak, self.live.now + inside)
        return out


LAYOUTS = {
    "aten::native_group_norm": torch.contiguous_format,
    "aten::convolution": torch.channels_last,
}
"""Operators that copy their input inside where it is laid out in another way: networks are
channels-last, CUDA's group norm reads and writes channels first. Before torch 2.14 that copy is an
operator of its own."""


def laid_out(out: Any, image: torch.Tensor, weight: torch.Tensor) -> Any:
    """The result of a convolution as cuDNN lays it out: channels-last where its input or its weight
    is. A fake one is so only where a driver is."""
    last = torch.channels_last
    if out.device.type != "cuda" or out.ndim != 4 or out.is_contiguous(memory_format=last):
        return out
    if not any(t.is_contiguous(memory_format=last) for t in (image, weight)):
        return out
    return torch.empty_like(out, memory_format=last)


class Attention(torch.autograd.Function):
    """The fused kernel: its output and a float32 number a query are kept, no scores."""

    @staticmethod
    def forward(ctx: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(q)
        ctx.save_for_backward(q, k, v, out, q.new_empty(q.shape[:-1], dtype=torch.float32))
        return out


class FusedKernels(TorchFunctionMode):
    """Takes `Attention` in the place of torch's, which without a GPU has the plain products."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        if func is F.scaled_dot_product_attention:
            q, k, v = (*args, *(kwargs or {}).values())[:3]
            if torch.is_autocast_enabled("cuda"):
                q, k, v = (x.to(torch.get_autocast_dtype("cuda")) for x in (q, k, v))
            return Attention.apply(q, k, v)
        return func(*args, **(kwargs or {}))


@contextmanager
def recomputing(network: Any) -> Iterator[None]:
    """Blocks of a diffusers network as if their activations were recomputed: kept is what goes in
    and out of each, and the most is what the largest of them makes."""
    network.enable_gradient_checkpointing(recomputed)
    try:
        yield
    finally:
        network.disable_gradient_checkpointing()


def recomputed(block: Callable[..., Any], *args: Any) -> Any:
    """The block's result without its graph, beside what it was given.

    With the graph it is run here once, so that its peak is counted, as in the backward pass."""
    block(*args)
    with torch.no_grad():
        out = block(*args)
    given = [a for a in args if isinstance(a, torch.Tensor)]

    def result(made: Any) -> Any:
        return made if made is None else Kept.apply(made.requires_grad_(), *given)

    return tuple(map(result, out)) if isinstance(out, tuple) else result(out)


class Kept(torch.autograd.Function):
    """A result for whose gradient nothing but the arguments of its block is kept."""

    @staticmethod
    def forward(ctx: Any, out: torch.Tensor, *given: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(*given)
        return out.view_as(out)


def weights(*modules: nn.Module) -> tuple[int, int]:
    """Bytes of the modules' parameters and buffers, and how many parameters are trained."""
    stored = [t for m in modules for t in (*m.parameters(), *m.buffers())]
    held = sum(t.numel() * t.element_size() for t in stored)
    return held, sum(p.numel() for m in modules for p in m.parameters() if p.requires_grad)
