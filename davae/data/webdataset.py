"""WebDataset shards: tar files in which the files of one sample have the same name but for what
follows its first dot."""

from __future__ import annotations

import json
from collections import defaultdict
from functools import partial
from pathlib import Path

from tqdm import tqdm

from davae.core.data_config import DataConfig
from davae.data.archive import Member, members
from davae.data.folder import SUFFIXES, region_of, split_of
from davae.data.source import Region, Source

CLASS, CAPTION, FIELDS = "cls", "txt", "json"
"""Endings of a sample's files: the class's number or name, the caption, or both by name."""


def webdataset(config: DataConfig) -> Source:
    """The samples of the shards at `config.path`, a .tar or a folder of them.

    A class is what `.cls` or the field `cls` of `.json` says; where no sample says any, all are
    one. Raises ValueError for a missing path, no shards, a shard or an image that cannot be read, a
    sample without an image or with several, and samples of which some say no class."""
    top = Path(config.path)
    shards = sorted(top.rglob("*.tar")) if top.is_dir() else [top]
    if not shards or not shards[0].is_file():
        raise ValueError(f"data.path is {config.path!r}, which is neither a .tar nor a folder of "
                         ".tar files")  # fmt: skip
    found: dict[str, dict[str, Region]] = defaultdict(dict)
    for shard in tqdm(shards, desc="reading shards", unit="shard", delay=2, leave=False):
        within = shard.relative_to(top).as_posix() if top.is_dir() else shard.name
        for key, files in samples_of(shard).items():
            name = f"{within}/{key}"
            found[class_of(name, files)][name] = sample(name, files, config)
    if "" in found and len(found) > 1:
        unsaid = next(iter(found[""]))
        raise ValueError(f"{unsaid} says no class (.{CLASS}), and others do; give all one or none")
    if not found:
        raise ValueError(f"{config.path} holds no samples")
    names = sorted(found, key=lambda name: (not name.isdigit(), int(name) if name.isdigit() else 0,
                                            name))  # fmt: skip
    train, heldout = [], []
    for name in names:
        first, last = split_of(sorted(found[name]), config, name or top.stem)
        train.append(tuple(found[name][key] for key in first))
        heldout.append(tuple(found[name][key] for key in last))
    return Source(tuple(name or top.stem for name in names), tuple(train), tuple(heldout))


def samples_of(shard: Path) -> dict[str, dict[str, Member]]:
    """The files of each sample by their ending; raises ValueError for two of one name."""
    found: dict[str, dict[str, Member]] = defaultdict(dict)
    for member in members(shard):
        folder, _, file = member.name.rpartition("/")
        stem, _, ending = file.partition(".")
        files = found[f"{folder}/{stem}".lstrip("/")]
        if ending.lower() in files:
            raise ValueError(f"{member} is there twice; give each sample a name of its own")
        files[ending.lower()] = member
    return found


def sample(name: str, files: dict[str, Member], config: DataConfig) -> Region:
    """The image of a sample and its caption, if it has any; raises ValueError for no image, or
    several."""
    images = [file for ending, file in files.items() if f".{ending}" in SUFFIXES]
    if len(images) != 1:
        raise ValueError(f"{name} has {len(images)} images ({', '.join(SUFFIXES)}); give it one")
    caption = partial(caption_of, files) if CAPTION in files or FIELDS in files else None
    return region_of(images[0], config, name, caption)


def fields(files: dict[str, Member]) -> dict[str, object]:
    """What a sample's .json says, if it has one; raises ValueError for what is none."""
    if FIELDS not in files:
        return {}
    try:
        found = json.loads(files[FIELDS].read_bytes())
    except ValueError as error:
        raise ValueError(f"{files[FIELDS]} is no JSON: {error}") from error
    return found if isinstance(found, dict) else {}


def class_of(name: str, files: dict[str, Member]) -> str:
    """What a sample says of its class; empty where it says none."""
    if CLASS in files:
        return files[CLASS].read_bytes().decode().strip()
    said = fields(files).get("cls")
    return "" if said is None else str(said)


def caption_of(files: dict[str, Member]) -> str:
    """A sample's caption: of .txt, or the field `caption` of .json; raises ValueError where it
    has none."""
    if CAPTION in files:
        return files[CAPTION].read_bytes().decode().strip()
    found = fields(files).get("caption")
    if not isinstance(found, str):
        raise ValueError(f"{files[FIELDS]} has no field caption, which is a text")
    return found
