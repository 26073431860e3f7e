"""A task's step over the ranks of a run, by accelerate: gradients averaged (DDP), or weights,
gradients and moments sharded as well (FSDP2), whichever the launch was configured for.

A rank takes its share of the batch, with the numbers that these samples have in the whole batch, so
that the training is that of one process but for the order of sums.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils._pytree import tree_map

from davae.core.ranks import ranks, state

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
    """What accelerate makes of a task's module and optimizer."""

    def __init__(self, stepping: Stepping, optimizer: Any, samples: int, idle: bool):
        """samples: of a whole batch; idle: some parameters have no gradient in some steps. Raises
        ValueError where the samples are no equal shares."""
        from accelerate import Accelerator, DistributedDataParallelKwargs

        count = ranks().count
        if samples % count:
            raise ValueError(
                f"a batch of {samples} is not shared evenly by {count} processes; give a "
                f"batch_size that {count} divides, such as {samples - samples % count + count}"
            )
        unused = DistributedDataParallelKwargs(find_unused_parameters=idle)
        self.accelerator = Accelerator(
            cpu=state().device.type == "cpu", mixed_precision="no", kwargs_handlers=[unused]
        )
        self.plain = unweighted(stepping.module) if self.sharded else stepping.module
        self.wrapped, prepared = self.accelerator.prepare(stepping, optimizer)
        self.optimizer = prepared.optimizer

    @property
    def sharded(self) -> bool:
        """Whether a rank holds a part of the weights alone."""
        return bool(self.accelerator.is_fsdp2)

    def accumulating(self, last: bool) -> AbstractContextManager[Any]:
        """The context of one part of a batch: gradients are averaged with the last."""
        return nullcontext() if last else self.accelerator.no_sync(self.wrapped)


def unweighted(module: nn.Module) -> nn.Module:
    """A copy whose parameters are on `meta`."""
    memo: dict[int, Any] = {
        id(p): nn.Parameter(torch.empty_like(p, device="meta"), p.requires_grad)
        for p in module.parameters()
    }
    return copy.deepcopy(module, memo)


def whole(value: Any) -> Any:
    """A nest of tensors with sharded ones put together; all ranks have to call it."""
    return tree_map(lambda t: t.full_tensor() if isinstance(t, DTensor) else t, value)


def sharded_like(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A whole tensor sharded as another is."""
    if not isinstance(like, DTensor) or isinstance(tensor, DTensor) or tensor.ndim == 0:
        return tensor
    return distribute_tensor(tensor, like.device_mesh, like.placements)
