"""Keys: digests of configs."""

from dataclasses import dataclass

import pytest
import torch

from davae.core.hashing import digest, hashable, option


@dataclass(frozen=True)
class Before:
    steps: int = 3


@dataclass(frozen=True)
class After:
    steps: int = 3
    momentum: float = option(0.5, neutral=0.0)


def test_a_new_neutral_field_changes_no_key():
    assert digest(After(momentum=0.0)) == digest(Before())
    assert digest(After()) != digest(Before())
    assert digest({"inner": (After(momentum=0.0),)}) == digest({"inner": (Before(),)})


def test_digest_is_of_values_not_of_order_or_container():
    assert digest({"a": 1, "b": [2]}) == digest({"b": (2,), "a": 1})
    assert digest({"a": 1}) == "015abd7f5cc57a2d"  # sha256 of {"a":1}
    assert digest({"a": 1.0}) != digest({"a": 1})
    with pytest.raises(ValueError, match="JSON primitives only"):
        hashable({"a": torch.zeros(1)})
