"""Features of a folder of image files, against the extractor's own rate in the same run."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.extraction import network_rate
from davae.core.experiment import DataConfig
from davae.data.crops import draw_crops, load_source
from davae.data.image_sets import open_images
from davae.features.extract import extract
from davae.features.registry import open_extractor

COUNT = 256


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photograph crops of 256 px as PNG files."""
    top = tmp_path_factory.mktemp("images")
    data = DataConfig(resolution_px=256, min_crop_px=256, max_crop_px=256)
    images, _ = draw_crops(data, load_source(DataConfig()), 0, "fresh", COUNT)
    for i, image in enumerate(images):
        Image.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0))).save(top / f"{i:04d}.png")
    return top


@torch.inference_mode()
def test_extraction(benchmark: Any, folder: Path) -> None:
    """Reading, resizing and EfficientNet-Lite0 at 224 px, 192 features: `davae eval`'s default."""
    extractor, images = open_extractor("effnet_lite0:input_px=224,blocks=15"), open_images(folder)
    own = network_rate(extractor, images)
    features = extract(extractor, images)
    assert np.isfinite(features).all()
    benchmark.extra_info.update(
        preset="",
        seed=0,
        model=extractor.name,
        weights=extractor.weights,
        stage="features",
        resolution_px=256,
        batch=COUNT,
        dtype="float32",
        device="cpu",
        compile=False,
        attention="none",
        timer="perf_counter",
        threads=torch.get_num_threads(),
        network_images_per_s=own,
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )
    benchmark.pedantic(lambda: extract(extractor, images), rounds=3, warmup_rounds=0)
    rate = COUNT / benchmark.stats.stats.median
    benchmark.extra_info["share_of_network_rate"] = rate / own
