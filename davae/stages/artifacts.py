"""Reading what stages left: crops, captions, networks and latents."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL
from diffusers.utils import CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME
from diffusers.utils import logging as diffusers_logging
from numpy.lib.format import open_memmap
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from davae.core import keyed
from davae.core.data_config import DataConfig
from davae.core.hashing import sha256
from davae.core.ranks import ranks
from davae.data.crops import load_source, planned
from davae.data.cut import CutImages
from davae.data.mapped import blocks, new_array
from davae.data.shards import Shards
from davae.models.base_vae import normalise
from davae.models.davae import DAVAE
from davae.stages.stage import Work
from davae.train.transformer import LatentSet

diffusers_logging.set_verbosity_error()  # its advice to install accelerate is not for small models

SPLITS = ("train", "heldout", "fresh")
CUT = "train_images.json"
"""What training crops are cut by, where they are not stored."""
MODEL = "model"
"""The folder of a stage's network within its artifact."""


def crops(folder: Path, split: str, count: int = 0) -> tuple[Any, np.ndarray]:
    """uint8 images [N, 3, H, W] and labels [N] of a split, or its first `count`: read from the
    file as they are used, or cut out of the data as they are used."""
    labels = np.load(folder / f"{split}_labels.npy")
    count = min(count or len(labels), len(labels))
    if split == "train" and (folder / CUT).exists():
        return cut(folder).first(count), labels[:count]
    return np.load(folder / f"{split}_images.npy", mmap_mode="c")[:count], labels[:count]


@lru_cache(maxsize=1)
def cut(folder: Path) -> CutImages:
    """The training crops that `make_crops` did not store."""
    asked = json.loads((folder / CUT).read_text())
    data = DataConfig(**asked["data"])
    source = load_source(data)
    plan = planned(data, source, asked["seed"], "train", data.train_crops)
    return CutImages(source, "train", plan, data.resolution_px)


def class_names(folder: Path) -> list[str]:
    """The class names of a crops artifact."""
    return json.loads((folder / "classes.json").read_text())


def captions(work: Work, split: str) -> list[str]:
    """The captions of a split."""
    return json.loads((work.inputs["captions"] / f"{split}_captions.json").read_text())


def images_hash(images: np.ndarray) -> str:
    """First 12 digits of the SHA-256 of the pixels."""
    return sha256(np.ascontiguousarray(block).tobytes() for (block,) in blocks(images))


def seeded(seed: int, purpose: str) -> None:
    """Key torch's global generator for the construction of a network, which draws its weights."""
    torch.manual_seed(keyed.key(seed, f"{purpose}/init") >> 1)


def write_parts(
    path: Path, total: int, size: int, make: Callable[[range], np.ndarray], said: str
) -> None:
    """An .npy file of `total` rows, of which `make` gives `size` at once; each rank makes its own
    parts. What a killed attempt finished, in parts of this size, is kept.

    said: what the progress bar says."""
    here, head = ranks(), f"{total} {size}"
    kept = finished_parts(path, head)
    here.wait()  # all have looked
    parts = [part for part in here.parts(total, size) if str(part.start) not in kept]
    first = make(parts[0]) if parts else None
    if not kept:
        row = here.told(None if first is None else (first.shape[1:], first.dtype))
        if row is None:
            raise ValueError(f"{path.name} would have no rows")
        if here.main:
            for marks in marks_of(path):
                marks.unlink()
            new_array(path, row[1], (total, *row[0])).flush()
        here.wait()
    file, marks = open_memmap(path, "r+"), path.with_suffix(f".{here.rank}.parts")
    with (
        marks.open("a") as done,
        tqdm(total=len(parts), desc=said, unit="batch", delay=2) as progress,
    ):
        print(head, file=done)
        for part in parts:
            file[part.start : part.stop] = first if part == parts[0] else make(part)
            file.flush()
            print(part.start, file=done, flush=True)
            progress.update()
    here.wait()
    if here.main:
        for marks in marks_of(path):
            marks.unlink()


def marks_of(path: Path) -> list[Path]:
    """The files in which ranks say which parts of `path` they finished."""
    return sorted(path.parent.glob(f"{path.stem}.*.parts"))


def finished_parts(path: Path, head: str) -> set[str]:
    """The first rows of the parts of a file that an attempt finished, whose marks start with
    `head`; none where one has another."""
    lines = [marks.read_text().split("\n") for marks in marks_of(path)]
    if not path.exists() or any(of_one[0] != head for of_one in lines):
        return set()
    return {line for of_one in lines for line in of_one[:-1] if line != head}


def save_model(model: Any, folder: Path, *, rounded: bool) -> None:
    """Save a diffusers model without the folder that it was loaded from; where its weights are
    `rounded`, in bfloat16, which holds them exactly."""
    model.save_pretrained(folder)
    config = json.loads((folder / CONFIG_NAME).read_text())
    config.pop("_name_or_path", None)
    (folder / CONFIG_NAME).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    if not rounded:
        return
    path = folder / SAFETENSORS_WEIGHTS_NAME
    parameters = {name for name, _ in model.named_parameters()}
    tensors = load_file(path)
    for name in parameters:
        exact = tensors[name].bfloat16()
        assert torch.equal(exact.float(), tensors[name]), f"{name} is not rounded to bfloat16"
        tensors[name] = exact
    save_file(tensors, path, metadata={"format": "pt"})


def load_vae(work: Work) -> AutoencoderKL:
    """The base VAE of the stage's input, for inference."""
    vae = AutoencoderKL.from_pretrained(work.inputs["base_vae"] / MODEL)
    return (
        vae.to(work.runtime.device, memory_format=work.runtime.layout())
        .eval()
        .requires_grad_(False)
    )


def load_davae(work: Work) -> DAVAE:
    """The DA-VAE of the stage's input, for inference."""
    model = DAVAE.from_pretrained(work.inputs["davae"] / MODEL)
    return (
        model.to(work.runtime.device, memory_format=work.runtime.layout())
        .eval()
        .requires_grad_(False)
    )


def latents(work: Work, role: str, split: str) -> Shards:
    """The latents of a split that a stage left, [N, channels, h, w]."""
    return Shards(work.inputs[role] / split)


class JoinedLatents:
    """Normalised latents [N, C + D, h, w] of several sets, concatenated by channel as they are
    indexed; the first `count`, or with 0 as many as all sets have."""

    def __init__(self, parts: list[Shards], factors: Any, count: int = 0):
        self.parts, self.factors = parts, factors
        all_have = min(len(part) for part in parts)
        count = min(count or all_have, all_have)
        self.shape = (count, sum(part.shape[1] for part in parts), *parts[0].shape[2:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> torch.Tensor:
        rows = slice(*index.indices(len(self))) if isinstance(index, slice) else np.asarray(index)
        return normalise(torch.cat([part[rows] for part in self.parts], 1), self.factors)


def joined_latents(work: Work, split: str, *roles: str, count: int = 0) -> JoinedLatents:
    """Normalised latents of a split, the inputs named by `roles` concatenated by channel: the first
    `count`, or with 0 as many as all have."""
    parts = [latents(work, role, split) for role in roles]
    return JoinedLatents(parts, load_vae(work).config, count)


def latent_set(work: Work, split: str, *roles: str, count: int = 0) -> LatentSet:
    """The latents of a split with their classes; `count` as of `joined_latents`."""
    joined = joined_latents(work, split, *roles, count=count)
    labels = torch.from_numpy(np.load(work.inputs["crops"] / f"{split}_labels.npy"))[: len(joined)]
    return LatentSet(joined, labels)
