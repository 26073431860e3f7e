"""Extractors, and one loop that streams images through them in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from davae.data.image_sets import Images

BATCH = 32


def untrained(model: str) -> Path:
    """The folder of a model that is trained here; there is none outside a pipeline."""
    raise ValueError(
        f"{model} is trained by `davae eval`; give the folder of a model of open_clip's "
        "format instead"
    )


@dataclass(frozen=True)
class Host:
    """What an extractor is opened with."""

    device: str = "cpu"
    trained: Callable[[str], Path] = untrained
    """The folder of a model that this project trains itself, by name; trains it if need be."""


@dataclass(frozen=True)
class Extractor:
    """A pretrained network with its preprocessing: an image to d features, for judging only."""

    name: str
    weights: str
    """SHA-256 of its weights, first 12 digits."""
    dimensions: int
    resize: str
    """How images reach the network, for the protocol."""
    prepare: Callable[[np.ndarray], np.ndarray]
    """[H, W, 3] in 0..255, uint8 or float32 -> float32 [3, P, P] as the network takes it."""
    network: Callable[[torch.Tensor], torch.Tensor]
    """[B, 3, P, P] -> [B, d]."""
    classify: Callable[[torch.Tensor], torch.Tensor] | None = None
    """[B, 3, P, P] -> class probabilities [B, K]; None where the network has none."""
    classifier: str = ""
    """What the probabilities' network is called, where it is not `name`'s."""
    suffix: str = ""
    """Of its metrics' names, as in `fd_effnet`; empty where the bare names are its own."""
    published_names: dict[str, str] = field(default_factory=dict)
    """Names that a metric has with this extractor alone, as FID."""

    def metric_name(self, metric: str) -> str:
        """What a metric on these features is called in records: `fd_effnet`, or `fid`."""
        name = self.published_names.get(metric, metric)
        return f"{name}_{self.suffix}" if self.suffix else name


@contextmanager
def one_thread_each(workers: int) -> Iterator[ThreadPoolExecutor]:
    """A pool whose threads run torch's CPU kernels alone: a batch a core needs no waiting for
    another's.

    torch's thread count of the caller is put back at the end; a failure or Ctrl-C drops what waits.
    """
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


def extract(
    extractor: Extractor, images: Images, device: str = "cpu", probabilities: bool = False
) -> np.ndarray:
    """Features [N, d], or class probabilities [N, K], float32, of all images.

    Every core reads, resizes and evaluates batches of 32 of its own; beside the result, memory
    holds one batch a core. A result does not depend on the number of cores.
    """
    run = extractor.classify if probabilities else extractor.network
    if run is None:
        raise ValueError(
            f"{extractor.name} gives no class probabilities, which the Inception Score needs"
        )
    if len(images) == 0:
        raise ValueError(f"{images.name} holds no images")

    @torch.inference_mode()
    def work(start: int) -> np.ndarray:
        indices = range(start, min(start + BATCH, len(images)))
        prepared = [extractor.prepare(images.read(i)) for i in indices]
        if len({p.shape for p in prepared}) > 1:
            shapes = sorted({f"{p.shape[2]}x{p.shape[1]}" for p in prepared})
            raise ValueError(
                f"{extractor.name} takes images of one size; {images.name} has {', '.join(shapes)}"
            )
        batch = torch.from_numpy(np.stack(prepared)).to(device, memory_format=torch.channels_last)
        return run(batch).float().cpu().numpy()

    out: np.ndarray | None = None
    workers = torch.get_num_threads()
    with (
        one_thread_each(workers) as pool,
        tqdm(
            total=len(images), desc=f"features of {images.name}", unit="img", delay=2, leave=False
        ) as progress,
    ):
        futures = {pool.submit(work, start): start for start in range(0, len(images), BATCH)}
        for future in as_completed(futures):
            part, start = future.result(), futures.pop(future)
            if out is None:
                out = np.empty((len(images), part.shape[1]), np.float32)
            out[start : start + len(part)] = part
            images.give_back()
            progress.update(len(part))
    assert out is not None
    return out
