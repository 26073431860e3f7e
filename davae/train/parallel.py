"""A task's step over the ranks of a run: gradients averaged (torch's DDP), or the weights of
blocks, their gradients and moments sharded as well (FSDP2) where the launch asked for that.

A rank takes its share of the batch, with the numbers that these samples have in the whole batch, so
that the training is that of one process but for the order of sums.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils._pytree import tree_map

from davae.core.ranks import ranks

if TYPE_CHECKING:
    from davae.train.batches import Batch


class Stepping(nn.Module):
    """A task as one module, whose forward is a training step's or, without a batch, the held-out
    evaluation: what DDP and FSDP2 wrap."""

    def __init__(
        self,
        module: nn.Module,
        step: Callable[[int, Batch], Any],
        evaluate: Callable[[], dict[str, float]] | None,
    ):
        super().__init__()
        self.module, self.step, self.evaluate = module, step, evaluate

    def forward(self, n: int, batch: Batch | None = None) -> Any:
        """The terms of step n, or held-out figures."""
        if batch is not None:
            return self.step(n, batch)
        return self.evaluate() if self.evaluate is not None else {}


class Parallel:
    """What a task's module becomes: sharded where it has blocks that the launch asked to shard,
    replicated otherwise, as autoencoders are."""

    def __init__(self, stepping: Stepping, idle: bool):
        """idle: some parameters have no gradient in some steps."""
        here = ranks()
        self.plain: nn.Module | None = None
        """Where the module is sharded: a copy of it that takes whole weights."""
        blocks = asked_blocks(stepping)
        if blocks:
            self.plain = unweighted(stepping.module)
            for block in blocks:
                fully_shard(block)
            self.wrapped: Any = fully_shard(stepping)
        else:
            on_gpu = next(stepping.parameters()).device.type == "cuda"
            self.wrapped = DistributedDataParallel(
                stepping,
                device_ids=[here.local] if on_gpu else None,
                find_unused_parameters=idle,
                gradient_as_bucket_view=True,
            )

    @contextmanager
    def accumulating(self, last: bool) -> Iterator[None]:
        """The context of one part of a batch: gradients are averaged with the last."""
        if self.plain is not None:
            self.wrapped.set_requires_gradient_sync(last)
            yield
            return
        with nullcontext() if last else self.wrapped.no_sync():
            yield

    def forget(self) -> None:
        """Drop whole weights that a forward without a backward pass left: they may change."""
        for module in self.wrapped.modules():
            if isinstance(module, FSDPModule):
                module.reshard()


def asked_blocks(stepping: Stepping) -> list[nn.Module]:
    """The blocks of the classes that the launch names, inner ones first; none without it."""
    names = asked_classes()
    return [m for m in reversed(list(stepping.modules())) if type(m).__name__ in names]


def asked_classes() -> set[str]:
    """The classes of blocks that the launch's `fsdp_config` names; none without it. Raises
    ValueError where it names none or asks for FSDP's first version."""
    from accelerate.utils import FullyShardedDataParallelPlugin, parse_flag_from_env

    if ranks().count == 1 or not parse_flag_from_env("ACCELERATE_USE_FSDP"):
        return set()
    asked = FullyShardedDataParallelPlugin()
    names = {name.strip() for name in asked.transformer_cls_names_to_wrap or ()}
    if asked.fsdp_version != 2 or not names:
        raise ValueError(
            "the launch asks for FSDP; give fsdp_version: 2 and, as "
            "fsdp_transformer_layer_cls_to_wrap, the class of the transformer's blocks (Block, "
            "JointTransformerBlock, FluxTransformerBlock,FluxSingleTransformerBlock)"
        )
    return names


def check_sharding(there: set[str], *, compiled: bool, ema_on_host: bool) -> None:
    """Raise ValueError for a launch that shards what has none of the blocks that it names, or under
    settings that sharding does not go with. there: the classes of the transformer's modules."""
    names = asked_classes()
    if not names:
        return
    if not names & there:
        raise ValueError(
            f"the launch shards {', '.join(sorted(names))}, of which the transformer has none; "
            f"its blocks are {', '.join(sorted(n for n in there if n.endswith('Block')))}"
        )
    if compiled:
        raise ValueError("FSDP2 is for networks as they are; give --runtime.compile False")
    if ema_on_host:
        raise ValueError("runtime.ema_on_host: a sharded average stays on the GPUs; leave it False")


def check_shares(batches: dict[str, int]) -> None:
    """Raise ValueError for a batch, by the name of its setting, that ranks do not share evenly."""
    count = ranks().count
    for name, samples in batches.items():
        if samples % count:
            raise ValueError(
                f"{name} is {samples}, which {count} processes do not share evenly; give a "
                f"multiple of {count}, such as {samples - samples % count + count}"
            )


def unweighted(module: nn.Module) -> nn.Module:
    """A copy whose parameters are on `meta`."""
    memo: dict[int, Any] = {
        id(p): nn.Parameter(torch.empty_like(p, device="meta"), p.requires_grad)
        for p in module.parameters()
    }
    return copy.deepcopy(module, memo)


def own_shard(tensor: torch.Tensor) -> torch.Tensor:
    """What this rank holds of a tensor that may be sharded."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(value: Any) -> Any:
    """A nest of tensors with sharded ones put together; all ranks have to call it."""
    return tree_map(lambda t: t.full_tensor() if isinstance(t, DTensor) else t, value)


def sharded_like(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A whole tensor sharded as another is."""
    if not isinstance(like, DTensor) or isinstance(tensor, DTensor) or tensor.ndim == 0:
        return tensor
    return distribute_tensor(tensor, like.device_mesh, like.placements)
