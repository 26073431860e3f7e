"""Reading the tensors of a checkpoint, and nothing else that a pickle may hold."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from davae.models.checkpoints.keys import Tensors

CONTAINERS = ("ema", "state_dict", "model")
"""Keys under which checkpoints keep their tensors, the preferred first."""
PREFIXES = ("module.", "weights.", "model.")
VECTORS = ("input.", "output", "__")
"""Entries beside the `weights.` of a file of test vectors, which are no parameters."""
TRAINING_ONLY = ("loss.", "model_ema.", "foundation_model.", "linear_proj.")
"""Networks that training checkpoints hold beside the autoencoder: losses, averages, VA-VAE's
aligned teacher."""
METADATA = "davae"
"""Where an exported file keeps our config, so that it comes back exactly."""


def read_tensors(path: Path) -> tuple[Tensors, dict[str, Any], list[str]]:
    """The checkpoint's tensors without containers and prefixes, our metadata if it has any, and
    notes on the rest."""
    if not path.is_file():
        raise ValueError(f"{path} is not a file")
    metadata: dict[str, Any] = {}
    if path.suffix == ".safetensors":
        tensors = load_file(path)
        with safe_open(str(path), "pt") as file:
            metadata = json.loads((file.metadata() or {}).get(METADATA, "{}"))
    elif path.suffix in (".pt", ".ckpt", ".pth"):
        tensors = _unwrap(path)
    else:
        raise ValueError(f"{path} is not a .safetensors, .pt, .pth or .ckpt file")
    notes = []
    if any(name.startswith("weights.") for name in tensors):
        vectors = [name for name in tensors if name.startswith(VECTORS)]
        notes = (
            [f"left out, test vectors beside the weights: {', '.join(sorted(vectors))}"]
            if vectors
            else []
        )
        tensors = {name: t for name, t in tensors.items() if name not in vectors}
    tensors = _without_prefixes(tensors)
    extra = Counter(p for name in tensors for p in TRAINING_ONLY if name.startswith(p))
    notes += [
        f"left out, used in training only: {count} tensors of {prefix}*"
        for prefix, count in extra.items()
    ]
    tensors = {name: t for name, t in tensors.items() if not name.startswith(TRAINING_ONLY)}
    return _without_prefixes(tensors), metadata, notes


def _without_prefixes(tensors: Tensors) -> Tensors:
    for prefix in PREFIXES:
        if tensors and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): t for name, t in tensors.items()}
    return tensors


def _unwrap(path: Path) -> Tensors:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} holds pickled objects, which are never executed; save its tensors alone"
        ) from error
    for container in CONTAINERS:
        if isinstance(content, dict) and isinstance(content.get(container), dict):
            content = content[container]
            break
    if not isinstance(content, dict) or not all(
        isinstance(t, torch.Tensor) for t in content.values()
    ):
        raise ValueError(
            f"{path} holds no dictionary of tensors, alone or under {', '.join(CONTAINERS)}"
        )
    return content


def read_statistics(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """mean and std [C] of a file of latent statistics."""
    if not path.is_file():
        raise ValueError(f"{path} is not a file")
    stored = load_file(path) if path.suffix == ".safetensors" else _unwrap(path)
    if not {"mean", "std"} <= set(stored):
        raise ValueError(f"{path} holds {', '.join(stored)}; latent statistics are mean and std")
    return stored["mean"].flatten().float(), stored["std"].flatten().float()
