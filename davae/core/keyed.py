"""Randomness keyed by (seed, purpose, step, global sample index).

Every random number depends on its key alone: not on the batch it is drawn in, the number of
processes, or what was drawn before. Resuming therefore needs no generator state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import torch

_MASK = (1 << 64) - 1


@lru_cache(maxsize=256)
def _purpose_word(purpose: str) -> int:
    return int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little")


def _mix(state: int, word: int) -> int:
    """One round of SplitMix64 (Steele, Lea & Flood 2014) over `state` and `word`."""
    z = (state ^ (word & _MASK)) + 0x9E3779B97F4A7C15 & _MASK
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _MASK
    return z ^ z >> 31


def key(seed: int, purpose: str, step: int = 0, index: int = 0) -> int:
    """A 64-bit key; distinct arguments give distinct keys but for collisions of a hash."""
    return _mix(_mix(_mix(_mix(0, seed), _purpose_word(purpose)), step), index)


def generator(seed: int, purpose: str, step: int = 0, index: int = 0) -> torch.Generator:
    """A local CPU generator at the key, of which torch's Mersenne Twister uses the low 32 bits."""
    return torch.Generator().manual_seed(key(seed, purpose, step, index) >> 1)


def normal(
    seed: int, purpose: str, step: int, indices: Sequence[int], shape: Sequence[int]
) -> torch.Tensor:
    """N(0, 1) of shape [len(indices), *shape]; row i depends on indices[i] alone."""
    out = torch.empty(len(indices), *shape)
    local = torch.Generator()
    for row, index in zip(out, indices, strict=True):
        local.manual_seed(key(seed, purpose, step, index) >> 1)
        torch.randn(tuple(shape), generator=local, out=row)
    return out


def uniform(seed: int, purpose: str, step: int, indices: Sequence[int]) -> torch.Tensor:
    """U[0, 1) in steps of 2^-24, shape [len(indices)]."""
    return torch.tensor([(key(seed, purpose, step, i) >> 40) / (1 << 24) for i in indices])


def choose(seed: int, purpose: str, step: int, indices: Sequence[int], size: int) -> torch.Tensor:
    """Indices in [0, size), uniform, with replacement; int64 of shape [len(indices)]."""
    return torch.tensor([key(seed, purpose, step, i) % size for i in indices])


@lru_cache(maxsize=4)
def _order(seed: int, purpose: str, epoch: int, size: int) -> torch.Tensor:
    return torch.randperm(size, generator=generator(seed, f"{purpose}/epoch", epoch))


def in_turn(seed: int, purpose: str, indices: Sequence[int], size: int) -> torch.Tensor:
    """Indices in [0, size) of a sequence that takes each once an epoch, in an order of its own;
    int64 of shape [len(indices)], for places of the sequence counted from the start."""
    places = [divmod(i, size) for i in indices]
    return torch.tensor([int(_order(seed, purpose, epoch, size)[p]) for epoch, p in places])
