"""Sets of images to be judged: a folder of files, or arrays."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image, UnidentifiedImageError

from davae.data.folder import SUFFIXES
from davae.request import Quantisation


def quantise(images: np.ndarray, how: Quantisation) -> np.ndarray:
    """Float images in [-1, 1] to 0..255: clamped, then rounded or truncated to uint8, or left float32.

    uint8 images are returned as they are: their quantisation is past.
    """
    if images.dtype == np.uint8:
        return images
    scaled = ((images.astype(np.float32) + 1) * 127.5).clip(0, 255)
    if how == "float":
        return scaled
    return (np.rint(scaled) if how == "rounded" else np.floor(scaled)).astype(np.uint8)


class Images(Protocol):
    """N images, read one by one; all of a batch have one size where the extractor does not resize."""

    @property
    def name(self) -> str:
        """What the set is called in messages and records."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> np.ndarray:
        """Image number `index`: [H, W, 3], uint8 or float32 in 0..255."""

    def digest(self) -> str:
        """First 12 digits of a SHA-256 of everything that `read` depends on."""

    def take(self, indices: list[int]) -> Images:
        """A subset, in the given order."""


@dataclass(frozen=True)
class ArrayImages:
    """Images of an array [N, 3, H, W] or [N, H, W, 3]: uint8, or float in [-1, 1]."""

    name: str
    array: np.ndarray
    quantisation: Quantisation = "rounded"

    def __post_init__(self) -> None:
        good = self.array.ndim == 4 and 3 in (self.array.shape[1], self.array.shape[3])
        if not good or not (self.array.dtype == np.uint8 or np.issubdtype(self.array.dtype, np.floating)):
            given = f"{self.array.dtype} {self.array.shape}"
            raise ValueError(
                f"{self.name}: images are uint8 or float in [-1, 1], [N, 3, H, W] or [N, H, W, 3]; {given}"
            )
        if self.array.dtype != np.uint8 and np.abs(self.array).max() > 4:
            raise ValueError(f"{self.name}: float images lie in [-1, 1]; the largest value is {self.array.max()}")

    def __len__(self) -> int:
        return len(self.array)

    def read(self, index: int) -> np.ndarray:
        """The image, quantised where it was float."""
        image = self.array[index]
        image = image if image.shape[-1] == 3 else image.transpose(1, 2, 0)
        return quantise(image, self.quantisation)

    def digest(self) -> str:
        """Of the pixels and, for float ones, their quantisation."""
        total = hashlib.sha256(np.ascontiguousarray(self.array).tobytes())
        if self.array.dtype != np.uint8:
            total.update(self.quantisation.encode())
        return total.hexdigest()[:12]

    def take(self, indices: list[int]) -> ArrayImages:
        """A subset."""
        return ArrayImages(self.name, self.array[indices], self.quantisation)


@dataclass(frozen=True)
class FolderImages:
    """The image files of a folder, sub-folders included, in the order of their relative paths."""

    root: Path
    paths: tuple[Path, ...]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.root.name

    def __len__(self) -> int:
        return len(self.paths)

    def relative(self, suffix: bool = True) -> list[str]:
        """The files' paths within the folder."""
        inside = [path.relative_to(self.root) for path in self.paths]
        return [(path if suffix else path.with_suffix("")).as_posix() for path in inside]

    def read(self, index: int) -> np.ndarray:
        """The file as uint8 RGB; raises ValueError with its name if it cannot be read."""
        path = self.paths[index]
        try:
            with Image.open(path) as image:
                return np.asarray(image.convert("RGB"))
        except (UnidentifiedImageError, OSError) as error:
            raise ValueError(f"{path} cannot be read as an image ({error}); repair or remove it") from error

    def digest(self) -> str:
        """Of the files' bytes, in order."""
        total = hashlib.sha256()
        for path in self.paths:
            with path.open("rb") as stream:
                total.update(hashlib.file_digest(stream, "sha256").digest())
        return total.hexdigest()[:12]

    def take(self, indices: list[int]) -> FolderImages:
        """A subset."""
        return FolderImages(self.root, tuple(self.paths[i] for i in indices))


def open_images(path: Path, quantisation: Quantisation = "rounded") -> Images:
    """A folder of image files, or an array in a .npy or .npz file (its first array, as ADM's `arr_0`)."""
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
        if not files:
            raise ValueError(f"{path} holds no images ({', '.join(SUFFIXES)})")
        return FolderImages(path, tuple(files))
    if path.suffix not in (".npy", ".npz") or not path.is_file():
        raise ValueError(f"{path} is neither a folder of images nor a .npy or .npz file of an image array")
    stored = np.load(path, mmap_mode="r" if path.suffix == ".npy" else None, allow_pickle=False)
    array = stored if path.suffix == ".npy" else stored[stored.files[0]]
    return ArrayImages(path.name, array, quantisation)
