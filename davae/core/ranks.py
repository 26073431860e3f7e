"""The processes of a run that `accelerate launch` started, and what each of them does.

Without it, or with one process, there is one rank and nothing here does anything. All
communication is accelerate's; the store has to be on a file system that all ranks see.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

PATIENCE = timedelta(days=2)
"""How long ranks wait for what the main one does alone."""


@dataclass(frozen=True)
class Ranks:
    """This process among those of the run."""

    rank: int = 0
    count: int = 1
    local: int = 0
    """Its number on its machine, which is that of its GPU."""

    @property
    def main(self) -> bool:
        """Whether it is the one that writes records, logs and checkpoints."""
        return self.rank == 0

    def share(self, total: int) -> range:
        """Which of `total` are its own: one after another, as many as the others' but for one."""
        first, end = (-(-total * rank // self.count) for rank in (self.rank, self.rank + 1))
        return range(first, end)

    def parts(self, total: int, size: int) -> list[range]:
        """Its own of the parts of `size` that `total` is cut into, the same for any number of
        ranks."""
        starts = range(0, total, size)
        return [range(starts[i], min(starts[i] + size, total)) for i in self.share(len(starts))]

    def wait(self) -> None:
        """Until all ranks are here."""
        if self.count > 1:
            state().wait_for_everyone()

    def told(self, value: Any) -> Any:
        """What the main rank gives as `value`."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]

    def mean(self, tensor: torch.Tensor) -> torch.Tensor:
        """The mean over ranks, whose shares of a batch are equal."""
        if self.count == 1:
            return tensor
        from accelerate.utils import reduce

        return reduce(tensor, "mean")


ALONE: list[bool] = []
"""Not empty while the main rank works alone."""


@contextmanager
def alone() -> Iterator[None]:
    """The main rank does what is inside without the others, who must not come here."""
    ALONE.append(True)
    try:
        yield
    finally:
        ALONE.pop()


def ranks() -> Ranks:
    """Of this process; the only one where it works alone."""
    return Ranks() if ALONE else launched()


@cache
def launched() -> Ranks:
    """Of this process, by the environment that a launch sets; raises ValueError where accelerate
    does not find the processes that were launched."""
    if launched_processes() == 1:
        return Ranks()
    found = state()
    if found.num_processes != launched_processes():
        raise ValueError(
            f"{launched_processes()} processes were launched and accelerate finds no GPUs for "
            "them; on CPUs set ACCELERATE_USE_CPU=true"
        )
    return Ranks(found.process_index, found.num_processes, found.local_process_index)


def launched_processes() -> int:
    """How many processes the launch started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def one_process(command: str) -> None:
    """Raise ValueError where a command that is made for one process was launched as several."""
    if launched_processes() > 1:
        raise ValueError(
            f"{command} is for one process, and {launched_processes()} were launched; of davae's "
            "commands `davae run` is for several"
        )


@cache
def state() -> Any:
    """accelerate's own, which starts torch.distributed: NCCL on GPUs, gloo on CPUs."""
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    # every rank loads its weights; with it transformers would leave those of all but one empty
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
    return PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"), timeout=PATIENCE)
