"""Crops that are cut as they are used are those that are stored."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from davae.core.data_config import DataConfig
from davae.core.runtime import Runtime
from davae.data.crops import draw_images, load_source, planned
from davae.data.cut import CutImages
from davae.stages.artifacts import crops, cut
from davae.stages.data import make_crops, stores
from davae.stages.stage import Work


@pytest.fixture
def tree(tmp_path):
    random = np.random.default_rng(0)
    for i in range(24):
        folder = tmp_path / "tree" / "ab"[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (40 + i, 60, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return tmp_path / "tree"


def data_of(tree, crop):
    sizes = {"min_crop_px": 20, "max_crop_px": 40} if crop == "random" else {}
    return DataConfig(name="folder", path=str(tree), crop=crop, resolution_px=16, train_crops=50,
                      eval_crops=10, **sizes)  # fmt: skip


@pytest.mark.parametrize("crop", ["random", "center"])
def test_cut_crops_are_indexed_as_the_stored_ones(tree, crop):
    data = data_of(tree, crop)
    stored, labels, _ = draw_images(data, 0, "train", 50)
    source = load_source(data)
    found = CutImages(source, "train", planned(data, source, 0, "train", 50), 16)
    assert found.shape == stored.shape
    assert found.ndim == 4
    for index in (slice(None), slice(7, 30, 3), slice(45, 90), torch.tensor([3, 3, 49, 0]), [-1],
                  11):  # fmt: skip
        assert np.array_equal(found[index], stored[np.asarray(index) if not isinstance(index, slice)
                                                   else index])  # fmt: skip
    assert np.array_equal(found.first(5)[:], stored[:5])
    assert len({(c.label, c.region) for c in found.plan}) > 10
    assert [c.label for c in found.plan] == labels.tolist()


@pytest.mark.parametrize("crop", ["random", "center"])
def test_the_stage_leaves_what_is_read_alike(tree, tmp_path, crop):
    found = {}
    for store in (True, False):
        folder = tmp_path / str(store)
        folder.mkdir()
        make_crops(Work(folder, {}, Runtime(store_crops=store)), data_of(tree, crop), 0)
        assert (folder / "train_images.npy").exists() == store
        assert (folder / "heldout_images.npy").exists()
        found[store] = {split: crops(folder, split) for split in ("train", "fresh", "heldout")}
    for split, (images, labels) in found[True].items():
        other, others = found[False][split]
        assert np.array_equal(images[:], other[:])
        assert np.array_equal(labels, others)
    some, few = crops(tmp_path / "False", "train", 7)
    assert (len(some), len(few)) == (7, 7)
    cut.cache_clear()


def test_an_attempt_that_stored_leaves_nothing_to_one_that_does_not(tree, tmp_path):
    """Nor the other way round."""
    data = data_of(tree, "center")
    expected = draw_images(data, 0, "train", 50)[0]
    np.save(tmp_path / "train_images.npy", np.zeros_like(expected))
    for store in (False, True):
        make_crops(Work(tmp_path, {}, Runtime(store_crops=store)), data, 0)
        cut.cache_clear()
        assert np.array_equal(crops(tmp_path, "train")[0][:], expected)


def test_they_are_stored_where_they_take_a_quarter_of_what_is_free(tree, tmp_path, monkeypatch):
    data = data_of(tree, "center")
    free = 4 * 3 * 50 * 16**2
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("U", (), {"free": free}))
    assert stores(Runtime(), tmp_path, data)
    assert not stores(Runtime(), tmp_path, replace(data, train_crops=51))
    assert stores(Runtime(store_crops=True), tmp_path, replace(data, train_crops=51))
    assert stores(Runtime(), tmp_path, DataConfig(name="scenes", train_crops=10**9))
