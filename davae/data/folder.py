"""Any directory of images; the classes are its sub-folders."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from PIL import Image, UnidentifiedImageError

from davae.core import keyed
from davae.core.data_config import DataConfig
from davae.data.reading import File, read_rgb, upright_size
from davae.data.source import Region, Source

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def region_of(
    file: File, config: DataConfig, name: str, caption: Callable[[], str] | None = None
) -> Region:
    """The whole image as a region; raises ValueError if it cannot be read or is too small.

    Its header is enough here: every file is read when crops are drawn of it."""
    size, reduce = checked(upright_size, file), 1.0
    if config.crop != "center":
        if min(size) < config.min_crop_px:
            raise ValueError(
                f"{file} is {size[0]}x{size[1]} px; its shorter side must be at least "
                f"{config.min_crop_px} px: lower data.min_crop_px, remove the file, or take center "
                "crops, which enlarge small ones"
            )
        reduce = min(1.0, config.short_side_px / min(size))
    return Region(name, (0, 0, *size), reduce, partial(read, file), caption)


BROKEN = (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError)
"""What Pillow raises for files that are broken, or that are larger than it decodes."""
T = TypeVar("T")


def checked(function: Callable[[File], T], file: File) -> T:
    """What the function makes of an image file; raises ValueError, with its name, for a broken
    one."""
    try:
        return function(file)
    except BROKEN as error:
        raise ValueError(
            f"{file} cannot be read as an image ({error}); repair or remove it"
        ) from error


def read(file: File) -> Image.Image:
    """The file as RGB."""
    return checked(read_rgb, file)


def split_of(names: list[str], config: DataConfig, label: str) -> tuple[list[str], list[str]]:
    """A keyed shuffle of one class's files by their names, its last `heldout_fraction` held out."""
    order = sorted(names, key=lambda name: keyed.key(0, f"folder/{label}/{Path(name).name}"))
    heldout = max(1, round(len(order) * config.heldout_fraction))
    if len(order) - heldout < 1:
        raise ValueError(
            f"class {label!r} has {len(order)} image; training and held-out sets need 2 or more"
        )
    return order[:-heldout], order[-heldout:]


def listed(config: DataConfig) -> dict[str, list[Path]]:
    """The image files at `config.path` by class, none of them opened.

    Raises ValueError for a missing folder, one without images, and files beside class folders."""
    top = Path(config.path)
    if not top.is_dir():
        raise ValueError(f"data.path is {config.path!r}, which is not a directory")
    named = {sub.name: sub for sub in sorted(top.iterdir()) if sub.is_dir()} or {top.name: top}
    loose = [path for path in top.iterdir() if path.suffix.lower() in SUFFIXES]
    if loose and top.name not in named:
        raise ValueError(
            f"{loose[0]} lies beside class folders; move it into one of {', '.join(named)}"
        )
    found = {}
    for name, sub in named.items():
        found[name] = sorted(path for path in sub.rglob("*") if path.suffix.lower() in SUFFIXES)
        if not found[name]:
            raise ValueError(
                f"{sub} holds no images ({', '.join(SUFFIXES)}); add some or remove the folder"
            )
    return found


def folder(config: DataConfig) -> Source:
    """The images at `config.path`: one class a sub-folder, or a single class of a flat folder.

    Raises ValueError as `listed` does, and for unreadable or too small images and for a class of
    one."""
    train, heldout, by_class = [], [], listed(config)
    for name, paths in by_class.items():
        first, last = split_of([str(path) for path in paths], config, name)
        train.append(tuple(region_of(Path(path), config, path) for path in first))
        heldout.append(tuple(region_of(Path(path), config, path) for path in last))
    return Source(tuple(by_class), tuple(train), tuple(heldout))
