"""The caption of every crop: of a folder from a table, of the scenes from what they show."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pandas as pd

from davae.core.data_config import DataConfig
from davae.data.crops import drawn_regions, load_source
from davae.data.hub import stream_captions
from davae.data.scenes import plan_scene
from davae.data.source import Region, Source, Split


def caption_table(path: Path) -> dict[str, str]:
    """Caption by file name, of a .csv, .tsv or .jsonl file with the columns file and caption.

    Raises ValueError for another file, other columns, or two captions of one image.
    """
    text: dict[str, Any] = {"dtype": str, "keep_default_na": False}
    readers = {
        ".csv": lambda p: pd.read_csv(p, **text),
        ".tsv": lambda p: pd.read_csv(p, sep="\t", quoting=csv.QUOTE_NONE, **text),
        ".jsonl": lambda p: pd.read_json(p, lines=True, dtype=False),
    }
    if path.suffix not in readers or not path.is_file():
        raise ValueError(
            f"{path}: captions are a .csv, .tsv or .jsonl file with the columns file and caption"
        )
    table = readers[path.suffix](path)
    if not {"file", "caption"} <= set(table.columns):
        raise ValueError(
            f"{path} has the columns {', '.join(map(str, table.columns))}; file and caption "
            "are needed"
        )
    twice = table["file"].astype(str).duplicated()
    if twice.any():
        raise ValueError(
            f"{path} has several captions of {table['file'][twice].iloc[0]}; keep one an image"
        )
    return dict(zip(table["file"].astype(str), table["caption"].astype(str), strict=True))


def draw_captions(
    config: DataConfig, seed: int, split: Split, count: int, source: Source | None = None
) -> list[str]:
    """The captions of the crops that `draw_images` gives for the same arguments; source: what is
    drawn from, where it is loaded already.

    Raises ValueError for data without captions and for images that have none.
    """
    if config.name == "scenes":
        plans = (plan_scene(seed, split, index) for index in range(count))
        return [scene.caption(form) for scene, form in plans]
    if config.name == "hub":
        return stream_captions(config, seed, {split: count})[split]
    if config.name != "webdataset" and not config.captions:
        raise ValueError(
            f"text to image needs captions: data.name is {config.name!r} and data.captions is empty"
        )
    source = source or load_source(config)
    drawn = drawn_regions(config, source, seed, split, count)
    if config.name == "webdataset":
        return captions_beside(config, drawn)
    return captions_of(config, [Path(region.name) for region in drawn])


def captions_of(config: DataConfig, files: list[Path]) -> list[str]:
    """The captions of files of a folder; raises ValueError where one has none."""
    caption_of, top = caption_table(Path(config.captions)), Path(config.path)
    names = [file.relative_to(top).as_posix() for file in files]
    absent = sorted({name for name in names if name not in caption_of})
    if absent:
        raise ValueError(
            f"{config.captions} has no caption for {len(absent)} images, the first {absent[0]}"
        )
    return [caption_of[name] for name in names]


def captions_beside(config: DataConfig, drawn: list[Region]) -> list[str]:
    """What lies beside the images in their shards; raises ValueError where nothing does."""
    absent = sorted({region.name for region in drawn if region.caption is None})
    if absent:
        raise ValueError(
            f"{len(absent)} samples of {config.path} have no caption (.txt, or caption in .json), "
            f"the first {absent[0]}"
        )
    return [region.caption() for region in drawn if region.caption is not None]
