"""Sets of images to be judged: a folder of files, or arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image, UnidentifiedImageError

from davae.core.hashing import sha256
from davae.data.folder import SUFFIXES
from davae.data.mapped import give_back
from davae.data.pixels import Quantisation, quantise

SAMPLED, LABELS = "images.npy", "labels.npy"
"""What a run samples, and the classes that it was asked for."""


class Images(Protocol):
    """N images, read one by one; of one size where the extractor does not resize."""

    @property
    def name(self) -> str:
        """What the set is called in messages."""

    @property
    def kind(self) -> str:
        """`uint8`, or `float, rounded` and the like, for the protocol."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> np.ndarray:
        """Image number `index`: [H, W, 3], uint8 or float32 in 0..255."""

    def names(self) -> list[str]:
        """What each image is called in a file of captions."""

    @property
    def digest(self) -> str:
        """First 12 digits of a SHA-256 of everything that `read` depends on."""

    def take(self, indices: list[int]) -> Images:
        """A subset, in the given order."""

    def give_back(self) -> None:
        """Give back the memory of what was read."""


@dataclass(frozen=True)
class ArrayImages:
    """Images of an array [N, 3, H, W] or [N, H, W, 3]: uint8, or float in [-1, 1]."""

    name: str
    array: np.ndarray
    """May be memory-mapped: images are read from it one by one."""
    quantisation: Quantisation = "rounded"
    chosen: tuple[int, ...] | None = None
    """Numbers of the array's images that belong to the set; None: all."""
    of_all: np.ndarray | None = None
    """The class of each of the array's images, where it is known."""

    def __post_init__(self) -> None:
        a = self.array
        if (
            a.ndim != 4
            or 3 not in (a.shape[1], a.shape[3])
            or not (a.dtype == np.uint8 or a.dtype.kind == "f")
        ):
            allowed = "uint8 or float in [-1, 1], [N, 3, H, W] or [N, H, W, 3]"
            raise ValueError(f"{self.name}: images are {allowed}; given {a.dtype} {a.shape}")
        if a.dtype != np.uint8 and len(a) and a[:64].min() >= 0:
            raise ValueError(
                f"{self.name}: float images lie in [-1, 1]; these seem to lie in [0, 1]: scale "
                "them by 2 x - 1"
            )

    @property
    def labels(self) -> np.ndarray | None:
        """The class of each image, where it is known."""
        return None if self.of_all is None else np.asarray(self.of_all)[self.numbers]

    @property
    def kind(self) -> str:
        """The type, with the quantisation of float images."""
        return "uint8" if self.array.dtype == np.uint8 else f"float, {self.quantisation}"

    @cached_property
    def numbers(self) -> list[int]:
        """Where each image lies in the array."""
        return list(range(len(self.array)) if self.chosen is None else self.chosen)

    def __len__(self) -> int:
        return len(self.numbers)

    def read(self, index: int) -> np.ndarray:
        """The image, quantised where it was float; raises ValueError beyond [-1.5, 1.5] and for
        NaN."""
        image = np.asarray(self.array[self.numbers[index]])
        if image.dtype != np.uint8 and not np.abs(image).max() <= 1.5:
            worst = image.flat[np.abs(image).argmax()]
            raise ValueError(
                f"{self.name}, image {index}: float images lie in [-1, 1]; one value is {worst}"
            )
        return quantise(
            image if image.shape[-1] == 3 else image.transpose(1, 2, 0), self.quantisation
        )

    def names(self) -> list[str]:
        """Their numbers in the array."""
        return [str(i) for i in self.numbers]

    @cached_property
    def digest(self) -> str:
        """Of the pixels and, for float ones, their quantisation."""
        pixels = (np.ascontiguousarray(self.array[i]).tobytes() for i in self.numbers)
        found = sha256(chain([self.kind.encode()], pixels))
        self.give_back()
        return found

    def take(self, indices: list[int]) -> ArrayImages:
        """A subset."""
        return replace(self, chosen=tuple(self.numbers[i] for i in indices))

    def give_back(self) -> None:
        """Where the array lies in a file."""
        give_back(self.array)


@dataclass(frozen=True)
class FolderImages:
    """The image files of a folder, sub-folders included, in the order of their relative paths."""

    root: Path
    paths: tuple[Path, ...]
    kind = "uint8"

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.root.name

    def __len__(self) -> int:
        return len(self.paths)

    def names(self) -> list[str]:
        """The files' paths within the folder."""
        return [path.relative_to(self.root).as_posix() for path in self.paths]

    def read(self, index: int) -> np.ndarray:
        """The file as uint8 RGB, 16-bit greys divided by 257; raises ValueError if it cannot be
        read."""
        path = self.paths[index]
        try:
            with Image.open(path) as image:
                if image.mode in ("I", "F"):
                    raise ValueError(
                        f"{path} has 32-bit pixels (mode {image.mode}); save it with 8 or 16 bits"
                    )
                if image.mode.startswith("I;16"):
                    grey = np.rint(np.asarray(image).astype(np.float64) / 257).astype(np.uint8)
                    return np.repeat(grey[:, :, None], 3, 2)
                return np.asarray(image.convert("RGB"))
        except (UnidentifiedImageError, OSError) as error:
            raise ValueError(
                f"{path} cannot be read as an image ({error}); repair or remove it"
            ) from error

    @cached_property
    def digest(self) -> str:
        """Of the files' bytes, in order."""
        return sha256(self.paths)

    def take(self, indices: list[int]) -> FolderImages:
        """A subset."""
        return FolderImages(self.root, tuple(self.paths[i] for i in indices))

    def give_back(self) -> None:
        """Nothing is kept."""


def open_images(path: Path, quantisation: Quantisation = "rounded") -> Images:
    """A folder of image files, or an array in a .npy or .npz file (its first array, as ADM's
    `arr_0`); with its classes where it is a run's `images.npy` beside `labels.npy`."""
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
        if not files:
            raise ValueError(f"{path} holds no images ({', '.join(SUFFIXES)})")
        return FolderImages(path, tuple(files))
    if path.suffix not in (".npy", ".npz") or not path.is_file():
        raise ValueError(
            f"{path} is neither a folder of images nor a .npy or .npz file of an image array"
        )
    stored = np.load(path, mmap_mode="r" if path.suffix == ".npy" else None, allow_pickle=False)
    array = stored if path.suffix == ".npy" else stored[stored.files[0]]
    beside = path.with_name(LABELS)
    labels = np.load(beside) if path.name == SAMPLED and beside.exists() else None
    return ArrayImages(path.name, array, quantisation, of_all=labels)
