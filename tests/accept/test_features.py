"""Feature extraction on 5,000 images, and clip_tiny; `make accept` runs it, CI does not."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from davae.core.data_config import DataConfig
from davae.core.records import read_measurements
from davae.core.runtime import Runtime
from davae.core.store import Store
from davae.data.crops import draw_crops, load_source
from davae.stages.clip_tiny import clip_tiny_stage
from davae.stages.stage import Pipeline

pytestmark = pytest.mark.accept

MEASURE = """
import json, resource, sys, time
from pathlib import Path
from davae.features.registry import open_extractor
from davae.features.extract import extract
from davae.data.image_sets import open_images
from benchmarks.extraction import network_rate

images, count = open_images(Path(sys.argv[1])), int(sys.argv[2])
extractor = open_extractor("effnet_lite0")
own = network_rate(extractor, images)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
extract(extractor, images.take(list(range(count))))
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"own": own, "rate": count / seconds, "peak_mib": peak / 1024,
  "before_mib": before / 1024}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """5,000 photograph crops of 256 px as PNG files."""
    top = tmp_path_factory.mktemp("images")
    data = DataConfig(resolution_px=256, min_crop_px=256, max_crop_px=256)
    images, _ = draw_crops(data, load_source(DataConfig()), 0, "fresh", 1000)
    for i in range(5000):
        Image.fromarray(np.ascontiguousarray(images[i % 1000].transpose(1, 2, 0))).save(
            top / f"{i:04d}.png"
        )
    return top


def measure(folder, count, **environment):
    command = [sys.executable, "-c", MEASURE, str(folder), str(count)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    return json.loads(done.stdout)


def test_a_folder_runs_at_the_extractors_rate(folder, capsys):
    found = measure(folder, 5000)
    with capsys.disabled():
        print(f"\nextraction of 5000 images: {found}; share {found['rate'] / found['own']:.2f}")
    assert found["rate"] >= 0.7 * found["own"]


def test_memory_does_not_grow_with_the_folder(folder, capsys):
    """Large blocks are given back at once here, so that the peak is of what is held, not of glibc's
    arenas."""
    arenas = {"MALLOC_MMAP_THRESHOLD_": "1000000", "MALLOC_ARENA_MAX": "2"}
    few, many = (measure(folder, count, **arenas)["peak_mib"] for count in (500, 2500))
    with capsys.disabled():
        print(f"\npeak of 500 and 2500 images: {few:.0f} and {many:.0f} MiB")
    assert (
        many - few < 150
    )  # the 2,000 images more are 375 MiB as uint8, 1,150 MiB as the network takes them


def test_clip_tiny_finds_the_caption_of_unseen_combinations(tmp_path):
    pipeline = Pipeline(Store(tmp_path), Runtime())
    values = {m.metric: m.value for _, m in read_measurements(pipeline.path(clip_tiny_stage()))}
    assert values["retrieval_top1"] >= 0.9
