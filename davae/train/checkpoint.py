"""The state of a training in one safetensors file: what is no tensor is in its header."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

STATE = "state"
"""Of the header."""


def save_state(state: Any, path: Path) -> None:
    """Write a nest of dicts, lists, tensors and plain values, whole or not at all."""
    tensors: dict[str, torch.Tensor] = {}

    def encoded(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            name = str(len(tensors))
            tensors[name] = in_memory_order(value.detach())
            return {"tensor": name, "size": list(value.shape), "stride": dense_stride(value)}
        if isinstance(value, dict):
            return {"dict": [[key, encoded(v)] for key, v in value.items()]}
        if isinstance(value, (list, tuple)):
            return [encoded(v) for v in value]
        return value

    temporary = path.with_name(path.name + ".tmp")
    header = json.dumps(encoded(state))
    save_file(tensors, temporary, {STATE: header})
    temporary.replace(path)


def load_state(path: Path, device: str) -> Any:
    """What `save_state` wrote, its tensors on a device and laid out in memory as they were; tuples
    are lists."""
    with safe_open(path, "pt", device) as file:

        def decoded(value: Any) -> Any:
            if isinstance(value, list):
                return [decoded(v) for v in value]
            if not isinstance(value, dict):
                return value
            if "tensor" in value:
                flat = file.get_tensor(value["tensor"])
                return flat.as_strided(value["size"], value["stride"])
            return {key: decoded(v) for key, v in value["dict"]}

        return decoded(json.loads(file.metadata()[STATE]))


def in_memory_order(tensor: torch.Tensor) -> torch.Tensor:
    """Its values [numel] as they lie in memory: a copy only where there are gaps between them."""
    if is_dense(tensor):
        return tensor.as_strided((tensor.numel(),), (1,))
    return tensor.contiguous().reshape(-1)


def dense_stride(tensor: torch.Tensor) -> list[int]:
    """Its strides within `in_memory_order`."""
    return list(tensor.stride() if is_dense(tensor) else tensor.contiguous().stride())


def is_dense(tensor: torch.Tensor) -> bool:
    """Whether its values fill a stretch of memory, each place once."""
    reach = sum((s - 1) * d for s, d in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.numel() == 0 or (reach + 1 == tensor.numel() and 0 not in tensor.stride())
