"""Measuring takes as much memory of a large set as of a small one."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest

from davae.data.mapped import blocks, give_back, new_array
from davae.metrics.content import nearest_distance

CODE = """
import sys
from pathlib import Path
from types import SimpleNamespace
import numpy as np
import torch
import torch.nn.functional as F
from davae.core.experiment import EvalConfig
from davae.core.runtime import Runtime
from davae.measure.memory import resident_peak
from davae.metrics.reconstruction import psnr
from davae.stages.artifacts import images_hash
from davae.stages import scoring
from davae.stages.judging import features_of
from davae.stages.scoring import decode_all, encoded_detail, other_details, taken
from davae.stages.stage import Work

class Enlarging:
    config = SimpleNamespace(detail_channels=12)
    detail_shape = staticmethod(lambda sides: (12, sides[0] // 2, sides[1] // 2))
    def detail_moments(self, x):
        small = F.avg_pool2d(x, 2).repeat(1, 4, 1, 1)
        return small, small
    def decode_raw(self, z):
        return F.interpolate(z[:, -3:], scale_factor=2)

torch.set_num_threads(1)
count, folder, side = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
model, work, shape = Enlarging(), Work(folder, {}, Runtime()), (count, 3, side, side)
images = np.lib.format.open_memmap(folder / "images.npy", "w+", np.uint8, shape)
out = np.lib.format.open_memmap(folder / "out.npy", "w+", np.uint8, shape)
base = np.broadcast_to(np.float32(0), (count, 4, side // 2, side // 2))
scoring.PART = 64
detail = encoded_detail(work, model, images)
rows = {"own": lambda part: taken(detail, part), **other_details(detail)}
for name in ("own", "davae_exchanged"):
    decode_all(model, base, rows[name], work.runtime, out)
psnr(out, images), images_hash(out)
features_of(out, EvalConfig().judges[0], "cpu")
print(resident_peak())
"""


@pytest.mark.timeout(300)
def test_memory_does_not_grow_with_the_set(tmp_path):
    peaks = []
    # every large array is a mapping, which glibc gives back when it is freed: a heap keeps holes of
    # up to 32 MB, so that peaks differed by 20 to 220 MB with nothing held (by 5 like this)
    environ = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**20)}
    for count in (100, 700):  # 20 and 138 MB a set
        folder = tmp_path / str(count)
        folder.mkdir()
        words = [sys.executable, "-c", CODE, str(count), str(folder), "256"]
        done = subprocess.run(words, capture_output=True, text=True, check=True, env=environ)
        peaks.append(int(done.stdout.split()[-1]))
    # two sets and a copy of one are 354 MB more, their details 472
    assert peaks[1] - peaks[0] < 60 * 2**20


def test_what_lies_in_a_file_stays_there(tmp_path):
    file = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.int64, (100, 3))
    file[:] = np.arange(300).reshape(100, 3)
    give_back(file)
    assert (file == np.arange(300).reshape(100, 3)).all()
    read = np.load(tmp_path / "a.npy", mmap_mode="c")
    parts = [a.copy() for a, _ in blocks(read, np.zeros(100), size=7)]
    assert [len(part) for part in parts] == [7] * 14 + [2]
    assert (np.concatenate(parts) == file).all()


def test_distances_in_parts_are_those_of_the_whole(monkeypatch):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(50, 4)), rng.normal(size=(30, 4))
    whole = nearest_distance(a, b)
    expected = np.sqrt(((a[:, None] - b) ** 2).sum(2)).min(1)
    monkeypatch.setattr("davae.metrics.content.ENTRIES", 100)
    assert whole == pytest.approx(expected)
    assert nearest_distance(a, b) == pytest.approx(expected)


def test_a_disk_too_small_is_said_before_anything_is_written(tmp_path, monkeypatch):
    def full(descriptor, start, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match="No space left"):
        new_array(tmp_path / "a.npy", np.uint8, (1000, 3, 64, 64))
