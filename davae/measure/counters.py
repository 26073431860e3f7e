"""Work counters: what a run does, operator by operator, without a clock.

One traced run (`TorchDispatchMode`, eager) gives operator calls by name and group, FLOPs, bytes
read and written, the peak of live bytes, and the number of times that a CUDA host would have to
wait. They are the same on every run of one revision and one version of torch, also on `meta`.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.module_tracker import ModuleTracker

from davae.measure.flops import Operators, count_flops

GROUPS = ("attention", "mlp", "linear", "conv", "norm", "elementwise", "copy", "view")
"""linear: products of neither attention nor MLP; copy: copies, casts, layout changes,
concatenations and gathers; view: no data are moved; elementwise: all that is left."""
ATTENTION, MLP = ("attn", "attention"), ("mlp", "ffn", "ff", "feed_forward")
"""Modules whose products count as attention's or an MLP's, by a part of their name."""
CONVOLUTION = ("convolution", "convolution_backward")
PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "addmv", "mv", "dot")
COPIES = (
    "clone", "copy_", "_to_copy", "cat", "stack", "repeat", "index", "index_select", "gather",
    "embedding", "constant_pad_nd", "roll", "flip", "index_put_", "scatter", "select_backward",
    "slice_backward", "embedding_dense_backward", "new_zeros", "zeros", "zeros_like", "full",
)  # fmt: skip
UNALIASED_VIEWS = ("_unsafe_view", "_reshape_alias")
"""Views whose schema says nothing of it."""
UNWRITTEN = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided")
WAITS = ("_local_scalar_dense", "nonzero", "equal", "is_nonzero", "masked_select", "_unique2")
"""Operators for whose result a CUDA host waits; copies from the device to the host besides."""
ASKED = (
    "to", "type", "float", "half", "bfloat16", "double", "contiguous", "clone", "cpu", "cuda",
)  # fmt: skip
HOST = ("tolist", "numpy")
"""Methods that take a tensor's values to the host and dispatch no operator on a CPU."""
INDEXING = ("index", "index_put_")
"""And these, where a mask chooses."""


@dataclass(frozen=True)
class Counters:
    """What one run did."""

    calls: dict[str, int]
    """Operator to calls, as `aten.addmm`."""
    groups: dict[str, int]
    """Group of GROUPS to calls."""
    group_bytes: dict[str, int]
    """Group to bytes read and written."""
    flops: int
    """Of products, convolutions and attention; 2 a multiply-add."""
    bytes_read: int
    """Of the operators' input tensors, each element once a call; caches are not modelled."""
    bytes_written: int
    """Of their outputs."""
    peak_live_bytes: int
    """The largest sum of storages made by the run that were alive at once; weights and inputs are
    not among them."""
    host_waits: int
    """Times that a CUDA host would wait for the device."""
    asked: dict[str, int]
    """Casts, copies and changes of layout that the code asks for (ASKED), to calls: also those for
    which nothing had to be done here, as a cast to the type that the tensor has."""

    @property
    def intensity(self) -> float:
        """FLOPs a byte read or written: the abscissa of a roofline."""
        return self.flops / (self.bytes_read + self.bytes_written)


def count_work(run: Callable[[], Any]) -> Counters:
    """The counters of `run()`, which is called once.

    Raises ValueError where an operator multiplies matrices and has no FLOP formula."""
    with ModuleTracker() as modules:
        tracer, asking = Tracer(modules), Asking()

        def traced() -> None:
            with tracer, asking:
                run()

        flops, _ = count_flops(traced)
    ordered = {group: tracer.groups[group] for group in GROUPS}
    return Counters(
        dict(sorted(tracer.calls.items())),
        ordered,
        {group: tracer.group_bytes[group] for group in GROUPS},
        flops,
        tracer.bytes_read,
        tracer.bytes_written,
        tracer.live.peak,
        tracer.host_waits + sum(asking.calls[name] for name in HOST),
        dict(sorted(asking.calls.items())),
    )


class Asking(TorchFunctionMode):
    """Counts the calls of the methods of ASKED and HOST."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name in ASKED or name in HOST:
            self.calls[name] += 1
        return func(*args, **(kwargs or {}))


class LiveBytes:
    """Bytes of the storages that were seen and are not freed, and their peak."""

    def __init__(self) -> None:
        self.now = self.peak = 0
        self.seen: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def add(self, tensor: torch.Tensor) -> None:
        """Count the tensor's storage until it is freed; one counted already is left alone."""
        storage = tensor.untyped_storage()
        name, size = storage._cdata, storage.nbytes()
        if name in self.seen:
            return
        self.now += size
        self.peak = max(self.peak, self.now)

        def freed(_: object) -> None:
            self.now -= size
            del self.seen[name]

        self.seen[name] = weakref.ref(storage, freed)


class Tracer(Operators):
    """Counts every operator that is dispatched while it is active."""

    def __init__(self, modules: ModuleTracker):
        super().__init__()
        self.modules = modules
        self.groups: Counter[str] = Counter()
        self.group_bytes: Counter[str] = Counter()
        self.bytes_read = self.bytes_written = self.host_waits = 0
        self.live = LiveBytes()

    def seen(self, func: Any, args: tuple, kwargs: dict | None, out: Any) -> None:
        """Count what the call reads and writes, and what it leaves alive."""
        name = func._schema.name.split("::")[1]
        group = group_of(func, name, self.modules.parents)
        self.groups[group] += 1
        if group != "view":
            read = sum(touched(t) for t in tensors((args, kwargs)))
            written = 0 if name in UNWRITTEN else sum(touched(t) for t in tensors(out))
            self.bytes_read += read
            self.bytes_written += written
            self.group_bytes[group] += read + written
        masked = name in INDEXING and any(t.dtype == torch.bool for t in tensors(args[1]))
        self.host_waits += name in WAITS or masked or leaves_device(args, out)
        given = {t.untyped_storage()._cdata for t in tensors((args, kwargs))}
        for tensor in tensors(out):
            if tensor.untyped_storage()._cdata not in given:
                self.live.add(tensor)


def tensors(tree: Any) -> Iterator[torch.Tensor]:
    """The tensors among the leaves."""
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor))


def touched(tensor: torch.Tensor) -> int:
    """Bytes of the distinct elements: a dimension of stride 0 counts once."""
    sides = (1 if s == 0 else n for n, s in zip(tensor.shape, tensor.stride(), strict=True))
    count = 1
    for side in sides:
        count *= side
    return count * tensor.element_size() if tensor.numel() else 0


def leaves_device(args: tuple, out: Any) -> bool:
    """Whether the result is on the host and an argument is not."""
    to_host = any(t.device.type == "cpu" for t in tensors(out))
    return to_host and any(t.device.type == "cuda" for t in tensors(args))


def group_of(func: Any, name: str, parents: set[str]) -> str:
    """The group of an operator that runs within the modules of these dotted names."""
    if is_view(func, name):
        return "view"
    if name in CONVOLUTION:
        return "conv"
    if "attention" in name:
        return "attention"
    if name in PRODUCTS:
        parts = {part.lower() for parent in parents for part in parent.split(".")}
        if any(part.startswith(ATTENTION) for part in parts):
            return "attention"
        return "mlp" if parts & set(MLP) else "linear"
    if "norm" in name and name != "linalg_vector_norm":
        return "norm"
    return "copy" if name in COPIES else "elementwise"


def is_view(func: Any, name: str) -> bool:
    """Whether the result shares the storage of an argument and nothing is written."""
    if name in UNALIASED_VIEWS:
        return True
    aliases = [r.alias_info for r in func._schema.returns if r.alias_info is not None]
    return bool(aliases) and not any(alias.is_write for alias in aliases)
