"""Captions of crops."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from davae.core.data_config import DataConfig
from davae.data.captions import draw_captions
from davae.data.crops import draw_images
from davae.data.scenes import scenes


def test_captions_are_those_of_the_crops(tmp_path):
    data = DataConfig(name="scenes")
    assert draw_captions(data, 3, "train", 20) == scenes(64, 3, "train", list(range(20)))[1]

    rng = np.random.default_rng(0)
    colours = {}
    for i in range(12):
        colour = rng.integers(0, 256, 3)
        (tmp_path / "images" / "sub").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 64), tuple(map(int, colour))).save(
            tmp_path / "images" / "sub" / f"{i}.png"
        )
        colours[f"sub/{i}.png"] = " ".join(map(str, colour))
    lines = [json.dumps({"file": name, "caption": caption}) for name, caption in colours.items()]
    (tmp_path / "c.jsonl").write_text("\n".join(lines))
    data = DataConfig(
        name="folder",
        path=str(tmp_path / "images"),
        captions=str(tmp_path / "c.jsonl"),
        resolution_px=32,
        min_crop_px=32,
        max_crop_px=64,
    )
    images, _, _ = draw_images(data, 0, "train", 10)
    for image, caption in zip(images, draw_captions(data, 0, "train", 10), strict=True):
        assert " ".join(map(str, image[:, 16, 16])) == caption
    (tmp_path / "c.jsonl").write_text("\n".join(lines[:2]))
    with pytest.raises(ValueError, match="has no caption for"):
        draw_captions(data, 0, "train", 10)
    with pytest.raises(ValueError, match="text to image needs captions"):
        draw_captions(replace(data, captions=""), 0, "train", 10)
