"""How an experiment is executed. Recorded with the results, never hashed into a key."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

DEFAULTS: dict[str, dict[str, Any]] = {
    "cpu": {
        "dtype": "float32",
        "compile": False,
        "cuda_graphs": False,
        "prefetch": False,
        "keep_heap": True,
    },
    "cuda": {
        "dtype": "bfloat16",
        "compile": True,
        "cuda_graphs": True,
        "prefetch": True,
        "keep_heap": False,
    },
}
"""What None stands for, by kind of device."""
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""glibc's numbers of two parameters of mallopt(3)."""


@dataclass(frozen=True)
class Runtime:
    """Device and speed settings. `apply` is the only place that touches torch's globals.

    A field given as None takes its value from `DEFAULTS` for the kind of device, when the object is
    made."""

    device: str = "cpu"
    """cpu, cuda, or cuda:N."""
    threads: int = 0
    """CPU threads; 0 leaves torch's own choice."""
    dtype: Literal["float32", "bfloat16"] | None = None
    """Of products and convolutions (torch.autocast); weights and sums stay float32. None: bfloat16
    on CUDA."""
    attention: Literal["auto", "fused", "math"] = "auto"
    """Attention kernels that torch may choose from; fused: an error rather than the plain products.
    """
    compile: bool | None = None
    """torch.compile the DiT (needs a C++ compiler on CPU). None: on CUDA."""
    cuda_graphs: bool | None = None
    """Where compiled, replay the sampler's forwards as CUDA graphs. None: on CUDA."""
    memory_format: Literal["channels_last", "contiguous"] = "channels_last"
    """Layout of the convolutional networks."""
    weight_gradient: Literal["measured", "channels_last", "contiguous"] = "measured"
    """Layout of the weight gradient of channels-last convolutions; measured: the faster one on this
    machine, measured once a process and recorded. On CUDA it is the convolution's own."""
    tf32: bool = False
    """Allow TensorFloat-32 matmuls and convolutions on CUDA."""
    fused_adamw: bool = True
    """One kernel for all parameters; otherwise torch's plain loop."""
    prefetch: bool | None = None
    """Draw the next training batch beside the step, on CUDA into pinned memory. None: on CUDA."""
    store_crops: bool | None = None
    """Keep the training crops of files at their resolution on disk, or cut them out of the files
    whenever they are used, which gives the same. None: kept where they take at most a quarter of
    the free space."""
    keep_heap: bool | None = None
    """Keep freed memory in the process (glibc): fresh pages cost more than small layers do. None:
    on CPU."""
    micro_batch: int = 0
    """Samples that a training step takes at once, their gradients added up; 0: the whole batch, in
    `davae run` on CUDA as many as fit."""
    images_at_once: int = 0
    """Images that are encoded, sampled or decoded at once; 0: as many as a stage has it, in
    `davae run` on CUDA as many as fit."""
    checkpoint_activations: bool = False
    """Recompute the blocks of a DA-VAE or a text-to-image transformer in the backward pass instead
    of keeping them; `davae run` on CUDA does so where nothing else fits."""
    ema_on_host: bool = False
    """Keep the average of the weights in the host's memory: 4 bytes a trained weight less on the
    GPU, and as many over the bus at every step."""
    checkpoint_seconds: float = 60.0
    """Time between checkpoints of an unfinished training stage."""
    tensorboard: bool = False
    """Also write the training log as TensorBoard events beside it."""

    def __post_init__(self) -> None:
        kind, _, number = self.device.partition(":")
        if kind not in DEFAULTS or not (number.isdigit() or not number):
            raise ValueError(f"runtime.device is {self.device!r}; it is cpu, cuda or cuda:N")
        asked_graphs = self.cuda_graphs
        for name, value in DEFAULTS[kind].items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        if not self.compile:
            if asked_graphs:
                raise ValueError(
                    "runtime.cuda_graphs replays what runtime.compile makes; set compile too"
                )
            object.__setattr__(self, "cuda_graphs", False)

    def exact(self) -> Runtime:
        """The same in float32, in which whatever is judged is decoded: a decoder whose products are
        bfloat16 costs a good one 0.1 dB, makes its rKD half as large again and more, and gKD of its
        samples of scenes a quarter larger."""
        return replace(self, dtype="float32")

    @property
    def kind(self) -> str:
        """cpu or cuda."""
        return self.device.partition(":")[0]

    def apply(self) -> None:
        """Set the process's global switches; raises ValueError for a device that is not there."""
        import torch

        seen = torch.cuda.device_count()
        if self.kind == "cuda" and int(self.device.partition(":")[2] or 0) >= seen:
            raise ValueError(f"the device is {self.device!r} and torch sees {seen} GPUs; use cpu")
        if self.threads and self.threads < 0:
            raise ValueError(f"runtime.threads is {self.threads}; give 1 or more")
        if self.threads:
            torch.set_num_threads(self.threads)
        torch.backends.cuda.matmul.allow_tf32 = self.tf32
        torch.backends.cudnn.allow_tf32 = self.tf32
        torch.backends.cuda.enable_flash_sdp(self.attention != "math")
        torch.backends.cuda.enable_mem_efficient_sdp(self.attention != "math")
        torch.backends.cuda.enable_cudnn_sdp(self.attention != "math")
        torch.backends.cuda.enable_math_sdp(self.attention != "fused")
        if self.keep_heap and sys.platform == "linux":
            keep_heap()

    def layout(self) -> torch.memory_format:
        """torch's name of `memory_format`."""
        import torch

        return (
            torch.channels_last
            if self.memory_format == "channels_last"
            else torch.contiguous_format
        )

    def autocast(self) -> AbstractContextManager:
        """The context of every forward, in encoding and sampling: the products' dtype."""
        import torch

        return torch.autocast(self.kind, torch.bfloat16, enabled=self.dtype == "bfloat16")

    @contextmanager
    def training(self) -> Iterator[None]:
        """The context of a training step's forward: `autocast`, and attention by any kernel that is
        allowed but cuDNN's.

        On an H100 with torch 2.11, which prefers it there, cuDNN's backward pass failed for FLUX
        (an illegal memory access); it is known to give NaN at some lengths (pytorch issue
        196678)."""
        import torch

        allowed = torch.backends.cuda.cudnn_sdp_enabled()
        torch.backends.cuda.enable_cudnn_sdp(False)
        try:
            with self.autocast():
                yield
        finally:
            torch.backends.cuda.enable_cudnn_sdp(allowed)

    def compiled(self, run: Callable[..., Any], sampling: bool = False) -> Callable[..., Any]:
        """`run` through torch.compile, if so set; in sampling with CUDA graphs, if so set."""
        if not self.compile:
            return run
        import torch

        return torch.compile(
            run, mode="reduce-overhead" if sampling and self.cuda_graphs else "default"
        )


def keep_heap() -> None:
    """Let glibc serve every allocation from its heap and never give the heap back while the process
    lives.

    By default each tensor above 32 MiB, and at first above 128 KiB, is mapped anew and its pages
    are faulted in and zeroed at the first write. A C library without mallopt is left as it is."""
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_MAX, 0)
        library.mallopt(M_TRIM_THRESHOLD, ctypes.c_int(2**31 - 1))
