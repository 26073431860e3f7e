"""What of a data set would stop a run, found in about a minute."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from davae.core.data_config import FILES, DataConfig
from davae.core.experiment import Experiment
from davae.data.archive import members
from davae.data.captions import captions_of
from davae.data.crops import draw_images
from davae.data.folder import SUFFIXES, listed, region_of, split_of
from davae.data.hub import draw_stream
from davae.data.reading import File
from davae.models.families.registry import family_of
from davae.stages.data import check_shown

SAMPLED = 64
"""Files of a folder that are read."""
PATIENCE_S = 60.0
"""How long headers of the others are read."""
NAMED = 5
"""Files with a problem that are named."""


def first_crops(e: Experiment) -> str:
    """A few crops, or the files of a folder or of archives; raises ValueError for what is broken,
    too small or cannot be split into classes."""
    data = e.data
    if data.name == "hub":
        images = np.empty((4, 3, data.resolution_px, data.resolution_px), np.uint8)
        _, classes = draw_stream(data, e.data_seed, {"train": 4}, {"train": images})
        return f"4 of {data.resolution_px} px streamed, {len(classes)} classes"
    if data.name not in FILES:
        images, _, classes = draw_images(data, e.data_seed, "train", 4)
        return f"{len(images)} of {images.shape[2]} px, {len(classes)} classes"
    files = listed_files(e) if data.name == "folder" else archived(Path(data.path))
    if not files:
        raise ValueError(f"data.path {data.path!r} holds no images ({', '.join(SUFFIXES)})")
    return checked_files(data, files)


def checked_files(data: DataConfig, files: Sequence[File]) -> str:
    """Some files spread over all are read, then headers of the others for a while; raises
    ValueError that names those with a problem."""
    step = max(1, len(files) // SAMPLED)
    spread = [file for first in range(step) for file in files[first::step]]
    whole = len(files[::step])
    sizes, problems, start = [], [], time.monotonic()
    for i, file in enumerate(spread):
        if i >= whole and time.monotonic() - start > PATIENCE_S:
            break
        try:
            region = region_of(file, data, str(file))
            sizes.append(min(region.read().size if i < whole else region.size))
        except ValueError as error:
            problems.append(str(error))
    checked = len(sizes) + len(problems)
    if problems:
        more = f"; and {len(problems) - NAMED} more" if len(problems) > NAMED else ""
        raise ValueError(
            f"{len(problems)} of {checked:,} files: {'; '.join(problems[:NAMED])}{more}"
        )
    return (
        f"{whole} of {len(files):,} files read, the headers of {checked:,}; shorter sides "
        f"{min(sizes)} to {max(sizes)} px"
    )


def listed_files(e: Experiment) -> list[Path]:
    """The images of a folder; raises ValueError where its classes cannot be split or shown, and
    for an image without a caption, if captions are needed."""
    by_class = listed(e.data)
    for name, paths in by_class.items():
        split_of([str(path) for path in paths], e.data, name)
    check_shown(e.data, list(by_class))
    files = [path for paths in by_class.values() for path in paths]
    if family_of(e).conditions == "captions":
        captions_of(e.data, files)
    return files


def archived(top: Path) -> Sequence[File]:
    """The images in a folder's archives, or in one archive."""
    paths = sorted(top.rglob("*.tar")) if top.is_dir() else [top]
    inside = (m for path in paths for m in members(path))
    return [m for m in inside if Path(m.name).suffix.lower() in SUFFIXES]
