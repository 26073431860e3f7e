"""Any directory of images; the classes are its sub-folders."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from PIL import Image, UnidentifiedImageError

from davae.core import keyed
from davae.core.experiment import DataConfig
from davae.data.reading import read_rgb, upright_size
from davae.data.source import Region, Source

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def _region(path: Path, config: DataConfig) -> Region:
    """The whole image as a region; raises ValueError if it cannot be read or is too small.

    Center crops read every file when they are drawn, so that here its header is enough."""
    if config.crop == "center":
        return Region(str(path), (0, 0, *checked(upright_size, path)), 1.0, partial(read, path))
    size = read(path).size
    if min(size) < config.min_crop_px:
        need = f"{config.min_crop_px} px (data.min_crop_px)"
        raise ValueError(
            f"{path} is {size[0]}x{size[1]} px; its shorter side must be at least {need}"
        )
    reduce = min(1.0, config.short_side_px / min(size))
    return Region(str(path), (0, 0, *size), reduce, partial(read, path))


T = TypeVar("T")


def checked(function: Callable[[Path], T], path: Path) -> T:
    """What the function makes of an image file; raises ValueError, with its name, for a broken
    one."""
    try:
        return function(path)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:  # Pillow's, of broken PNGs
        raise ValueError(
            f"{path} cannot be read as an image ({error}); repair or remove it"
        ) from error


def read(path: Path) -> Image.Image:
    """The file as RGB."""
    return checked(read_rgb, path)


def _split(paths: list[Path], config: DataConfig, name: str) -> tuple[list[Path], list[Path]]:
    """A keyed shuffle of one class's files, its last `heldout_fraction` held out."""
    order = sorted(paths, key=lambda path: keyed.key(0, f"folder/{name}/{path.name}"))
    heldout = max(1, round(len(order) * config.heldout_fraction))
    if len(order) - heldout < 1:
        raise ValueError(
            f"class {name!r} has {len(order)} image; training and held-out sets need 2 or more"
        )
    return order[:-heldout], order[-heldout:]


def folder(config: DataConfig) -> Source:
    """The images at `config.path`: one class a sub-folder, or a single class of a flat folder.

    Raises ValueError for a missing folder, no images, and unreadable or too small ones.
    """
    top = Path(config.path)
    if not top.is_dir():
        raise ValueError(f"data.path is {config.path!r}, which is not a directory")
    named = {sub.name: sub for sub in sorted(top.iterdir()) if sub.is_dir()} or {top.name: top}
    loose = [path for path in top.iterdir() if path.suffix.lower() in SUFFIXES]
    if loose and top.name not in named:
        raise ValueError(
            f"{loose[0]} lies beside class folders; move it into one of {', '.join(named)}"
        )
    classes, train, heldout = [], [], []
    for name, sub in named.items():
        paths = sorted(path for path in sub.rglob("*") if path.suffix.lower() in SUFFIXES)
        if not paths:
            raise ValueError(
                f"{sub} holds no images ({', '.join(SUFFIXES)}); add some or remove the folder"
            )
        first, last = _split(paths, config, name)
        classes.append(name)
        train.append(tuple(_region(path, config) for path in first))
        heldout.append(tuple(_region(path, config) for path in last))
    return Source(tuple(classes), tuple(train), tuple(heldout))
