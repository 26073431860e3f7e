"""How fast an extractor is by itself, the ceiling of what a folder of images can reach."""

from __future__ import annotations

import statistics
import time

import numpy as np
import torch

from davae.data.image_sets import Images
from davae.features.extract import BATCH, Extractor
from davae.measure.timing import timed


@torch.inference_mode()
def network_rate(
    extractor: Extractor, images: Images, device: str = "cpu", seconds: float = 3.0
) -> float:
    """Images a second of the network alone: one batch of 32, all threads, the median pass."""
    prepared = [extractor.prepare(images.read(i % len(images))) for i in range(BATCH)]
    batch = (
        torch.from_numpy(np.stack(prepared))
        .to(device)
        .contiguous(memory_format=torch.channels_last)
    )

    def once() -> float:
        return timed(lambda: extractor.network(batch), device)[0]

    for _ in range(3):
        once()
    passes, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        passes.append(once())
    return BATCH / statistics.median(passes)
