"""Arrays in shards: what is read is what was written, what is interrupted is gone on with."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from davae.data import shards
from davae.data.shards import Shards, write_shards

TOTAL = 1_300
"""Rows in three shards, the last of 276."""


def values(dtype=torch.float32):
    return torch.arange(TOTAL * 6).view(TOTAL, 2, 3).to(dtype)


def write(folder, rows, size=100, ready=None, asked=None):
    def make(part):
        if asked is not None:
            asked.append(part)
        return rows[part.start : part.stop]

    write_shards(folder, len(rows), size, make, "rows", ready)
    return Shards(folder)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8])
def test_rows_are_read_as_a_tensor_is_indexed(tmp_path, dtype):
    rows = values(dtype)
    found = write(tmp_path / "a", rows)
    assert found.shape == (TOTAL, 2, 3)
    assert found.dtype == dtype
    for index in (
        slice(None), slice(500, 530), slice(0, 0), slice(1_299, 5_000), slice(3, 1_200, 7),
        torch.tensor([1_299, 0, 511, 512, 512, 3]), [5, -1], np.array([], np.int64),
    ):  # fmt: skip
        assert torch.equal(found[index], rows[index if not isinstance(index, np.ndarray) else []])
    with pytest.raises(IndexError, match="1300 rows; asked for 1300"):
        found[[1_300]]
    for index in (3, torch.tensor(3), torch.ones(TOTAL, dtype=torch.bool)):
        with pytest.raises(TypeError, match="by a slice or by their numbers"):
            found[index]
    assert torch.equal(found.first(10)[:], rows[:10])
    assert len(found.first(10)) == 10
    assert len(found.first(9_000)) == TOTAL


def test_shards_are_what_safetensors_and_sha256sum_read(tmp_path):
    write(tmp_path / "a", values())
    files = sorted((tmp_path / "a").glob("*.safetensors"))
    assert torch.equal(torch.cat([load_file(f)["rows"] for f in files]), values())
    words = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    done = subprocess.run(words, cwd=tmp_path / "a", capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{f.name}: OK" for f in files]
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == sorted(
        ["SHA256SUMS", "index.json", *(f.name for f in files)]
    )


def test_parts_are_at_most_of_the_size_and_ready_rows_are_not_made(tmp_path):
    asked = []
    write(tmp_path / "a", values(), 200, values()[:700], asked)
    bounds = [(part.start, part.stop) for part in asked]
    assert bounds == [(700, 900), (900, 1_024), (1_024, 1_224), (1_224, 1_300)]


INTERRUPTED = """
import os, sys
from pathlib import Path
import torch
from davae.data.shards import write_shards
def make(part):
    if part.start >= 600:
        os.kill(os.getpid(), 9)
    return torch.arange(1300 * 6).view(1300, 2, 3).float()[part.start : part.stop]
write_shards(Path(sys.argv[1]), 1300, 100, make, "rows")
"""


def test_a_killed_writing_goes_on_at_its_last_whole_shard(tmp_path):
    folder = tmp_path / "a"
    killed = subprocess.run([sys.executable, "-c", INTERRUPTED, str(folder)], check=False)
    assert killed.returncode == -9
    assert sorted(p.name for p in folder.iterdir()) == ["000000.safetensors", "000000.sha256"]
    with pytest.raises(ValueError, match="is not there"):
        len(Shards(folder))
    asked = []
    found = write(folder, values(), asked=asked)
    assert asked[0].start == shards.ROWS
    assert torch.equal(found[:], values())


def test_a_shard_that_was_damaged_meanwhile_is_made_again(tmp_path):
    folder = tmp_path / "a"
    subprocess.run([sys.executable, "-c", INTERRUPTED, str(folder)], check=False)
    damage(folder / "000000.safetensors")
    asked = []
    found = write(folder, values(), asked=asked)
    assert asked[0].start == 0
    assert torch.equal(found[:], values())
    found.check()


def test_what_is_finished_is_not_made_again(tmp_path):
    """As the first split, where the writing was killed in a later one."""
    write(tmp_path / "a", values())
    asked = []
    found = write(tmp_path / "a", values(), asked=asked)
    assert asked == []
    found.check()
    assert len(write(tmp_path / "a", values()[:700], asked=asked)) == 700  # of another length
    assert asked


def test_damage_is_named(tmp_path):
    found = write(tmp_path / "a", values())
    found.check()
    damage(tmp_path / "a" / "000001.safetensors")
    with pytest.raises(ValueError, match="1 of 3 shards are damaged, the first 000001"):
        found.check()
    path = tmp_path / "a" / "000002.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"000002\.safetensors is cut off"):
        found[:]


def damage(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def test_no_rows_are_an_error(tmp_path):
    with pytest.raises(ValueError, match="no rows"):
        write(tmp_path / "a", values()[:0])
