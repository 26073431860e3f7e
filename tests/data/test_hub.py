"""Streamed data sets, of parquet files in a folder as the hub has them."""

import io
from dataclasses import replace

import datasets
import numpy as np
import pytest
from PIL import Image

from davae.core.data_config import DataConfig
from davae.core.runtime import Runtime
from davae.data.captions import draw_captions
from davae.data.crops import load_source
from davae.data.hub import draw_stream, places, stream_captions
from davae.stages.artifacts import class_names, crops
from davae.stages.data import make_crops
from davae.stages.inputs import input_problems
from davae.stages.stage import Work
from tests.small_pipelines import experiment

COUNTS = {"heldout": 8, "fresh": 8, "train": 20}


def picture(i):
    """Grey of level 4 i, its left half darker."""
    pixels = np.full((30, 40, 3), 4 * i + 20, np.uint8)
    pixels[:, :20] = 0
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return {"bytes": stream.getvalue(), "path": None}


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    """40 captioned pictures of two classes in two files."""
    top = tmp_path_factory.mktemp("hub")
    features = datasets.Features(
        {"picture": datasets.Image(), "kind": datasets.ClassLabel(names=["cat", "dog"]),
         "text": datasets.Value("string")}
    )  # fmt: skip
    for part in range(2):
        numbers = range(20 * part, 20 * part + 20)
        rows = {"picture": [picture(i) for i in numbers], "kind": [i % 2 for i in numbers],
                "text": [f"grey {4 * i + 20}" for i in numbers]}  # fmt: skip
        found = datasets.Dataset.from_dict(rows, features)
        found.to_parquet(str(top / f"train-{part:05d}-of-00002.parquet"))
    return top


def config(top, **changes):
    return DataConfig(name="hub", path=str(top), crop="center", resolution_px=16,
                      heldout_fraction=0.3, **changes)  # fmt: skip


def level(image):
    return int(max(image[0, 8, 1], image[0, 8, 14]))  # far from the edge, where it rings


def test_one_pass_fills_all_splits_with_what_belongs_together(parquet):
    data = config(parquet, captions="text")
    out = {split: np.zeros((n, 3, 16, 16), np.uint8) for split, n in COUNTS.items()}
    labels, names = draw_stream(data, 0, COUNTS, out)
    assert names == ["cat", "dog"]
    for split, images in out.items():
        said = draw_captions(data, 0, split, COUNTS[split])
        for image, label, text in zip(images, labels[split], said, strict=True):
            assert text == f"grey {level(image)}"
            assert label == (level(image) - 20) // 4 % 2
    levels = {split: [level(image) for image in images] for split, images in out.items()}
    assert not set(levels["heldout"]) & set(levels["train"])
    assert len(set(levels["train"])) == 20
    assert levels["fresh"] == levels["train"][:8]
    darker = {s: images[:, 0, 8, 2] < images[:, 0, 8, 13] for s, images in out.items()}
    assert (darker["fresh"] != darker["train"][:8]).all()  # mirrored where the others are not
    assert 0 < darker["train"].mean() < 1


def test_what_is_no_text_and_no_class_is_named(tmp_path):
    features = datasets.Features(
        {"picture": datasets.Image(), "cls": datasets.Value("int64"),
         "text": datasets.Value("string")}
    )  # fmt: skip
    rows = {"picture": [picture(i) for i in range(12)], "cls": [0] * 12,
            "text": [None if i == 4 else "a" for i in range(12)]}  # fmt: skip
    (tmp_path / "a").mkdir()
    datasets.Dataset.from_dict(rows, features).to_parquet(str(tmp_path / "a" / "train.parquet"))
    data = config(tmp_path / "a", captions="text")
    with pytest.raises(ValueError, match="sample 4: text is None, which is no text"):
        stream_captions(data, 0, {"train": 6, "heldout": 3})
    out = np.zeros((5, 3, 16, 16), np.uint8)
    labels, names = draw_stream(data, 0, {"train": 5}, {"train": out})  # captions are enough
    assert names == [data.path]
    assert not labels["train"].any()
    with pytest.raises(ValueError, match="cls is no ClassLabel"):
        draw_stream(replace(data, captions=""), 0, {"train": 5}, {"train": out})


def test_pictures_may_be_files_beside_the_table(tmp_path):
    """As of a folder of images, whose rows name their files."""
    for i in range(10):
        (tmp_path / "cat").mkdir(exist_ok=True)
        (tmp_path / "dog").mkdir(exist_ok=True)
        content = picture(i)["bytes"]
        (tmp_path / ("cat", "dog")[i % 2] / f"{i}.png").write_bytes(content)
    out = np.zeros((4, 3, 16, 16), np.uint8)
    labels, names = draw_stream(config(tmp_path), 0, {"train": 4}, {"train": out})
    assert names == ["cat", "dog"]
    assert [(level(image) - 20) // 4 % 2 for image in out] == labels["train"].tolist()


def test_a_columns_name_is_no_file(parquet, tmp_path):
    e = experiment("sd3", "none")
    problems = input_problems(replace(e, data=config(parquet, captions="text")))
    assert not any("captions" in problem for problem in problems)


def test_more_crops_are_more_of_the_same(parquet):
    data = config(parquet)
    for split in COUNTS:
        assert places(data, 0, split, 20)[:7] == places(data, 0, split, 7)
    held = [place.index for place in places(data, 0, "heldout", 300)]
    assert held[-1] == pytest.approx(1_000, rel=0.2)  # three tenths


def test_the_stage_leaves_them_as_of_any_data(parquet, tmp_path):
    data = config(parquet, train_crops=20, eval_crops=8)
    make_crops(Work(tmp_path, {}, Runtime()), data, 0)
    assert class_names(tmp_path) == ["cat", "dog"]
    images, labels = crops(tmp_path, "train")
    assert images.shape == (20, 3, 16, 16)
    assert [(level(image) - 20) // 4 % 2 for image in images] == labels.tolist()


def test_what_is_not_there_is_said(parquet, tmp_path):
    data = config(parquet)
    with pytest.raises(ValueError, match=r"ends after 40 samples; .* lower data.train_crops"):
        draw_stream(data, 0, {"train": 60}, {"train": np.zeros((60, 3, 16, 16), np.uint8)})
    with pytest.raises(ValueError, match="no column caption; it has picture, kind, text"):
        draw_captions(replace(data, captions="caption"), 0, "train", 3)
    with pytest.raises(ValueError, match="name their column"):
        draw_captions(data, 0, "train", 3)
    with pytest.raises(ValueError, match="cannot be streamed"):
        draw_stream(config(tmp_path), 0, {"train": 1}, {})
    with pytest.raises(ValueError, match="is read once"):
        replace(data, crop="random")
    with pytest.raises(ValueError, match="no regions to be drawn from again"):
        load_source(data)
