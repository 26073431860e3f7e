"""How an experiment is executed. Recorded with the results, never hashed into a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Runtime:
    """Device and speed settings. `apply` is the only place that touches torch's globals."""

    device: str = "cpu"
    """cpu, cuda, or cuda:N."""
    threads: int = 0
    """CPU threads; 0 leaves torch's own choice."""
    compile: bool = False
    """torch.compile the DiT in training (needs a C++ compiler on CPU)."""
    memory_format: Literal["channels_last", "contiguous"] = "channels_last"
    """Layout of the convolutional networks."""
    tf32: bool = False
    """Allow TensorFloat-32 matmuls and convolutions on CUDA."""
    checkpoint_seconds: float = 60.0
    """Time between checkpoints of an unfinished training stage."""
    tensorboard: bool = False
    """Also write the training log as TensorBoard events beside it."""

    def apply(self) -> None:
        """Set torch's global switches; raises ValueError for a device that is not there."""
        import torch

        kind, _, number = self.device.partition(":")
        if kind not in ("cpu", "cuda") or not (number.isdigit() or not number):
            raise ValueError(f"runtime.device is {self.device!r}; it is cpu, cuda or cuda:N")
        seen = torch.cuda.device_count()
        if kind == "cuda" and int(number or 0) >= seen:
            raise ValueError(f"runtime.device is {self.device!r} and torch sees {seen} GPUs; use --runtime.device cpu")
        if self.threads:
            torch.set_num_threads(self.threads)
        torch.backends.cuda.matmul.allow_tf32 = self.tf32
        torch.backends.cudnn.allow_tf32 = self.tf32

    def layout(self) -> torch.memory_format:
        """torch's name of `memory_format`."""
        import torch

        return torch.channels_last if self.memory_format == "channels_last" else torch.contiguous_format
