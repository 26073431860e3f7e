"""Randomness by key."""

import math

import pytest
import torch

from davae.core import keyed


@pytest.mark.parametrize("splits", [(1, 63), (10, 20, 34), (64,)])
def test_noise_does_not_depend_on_the_split_of_the_batch(splits):
    whole = keyed.normal(7, "noise", 3, list(range(64)), (4, 2))
    ranges, start = [], 0
    for size in splits:
        ranges.append(range(start, start + size))
        start += size
    parts = [keyed.normal(7, "noise", 3, list(r), (4, 2)) for r in ranges]
    assert torch.equal(torch.cat(parts), whole)
    assert torch.equal(
        torch.cat([keyed.uniform(7, "u", 3, list(r)) for r in ranges]),
        keyed.uniform(7, "u", 3, list(range(64))),
    )


def test_keys_differ_and_numbers_have_their_distribution():
    keys = {
        keyed.key(s, p, n, i) for s in range(3) for p in "ab" for n in range(5) for i in range(50)
    }
    assert len(keys) == 3 * 2 * 5 * 50
    z = keyed.normal(0, "z", 0, list(range(20_000)), ())
    assert abs(z.mean().item()) < 5 / math.sqrt(20_000)
    assert z.std().item() == pytest.approx(1, abs=0.02)
    counts = torch.bincount(keyed.choose(0, "c", 0, list(range(13_000)), 13))
    assert counts.min() > 850
    assert counts.max() < 1150


def test_in_turn_takes_each_once_an_epoch_whatever_the_batches():
    whole = keyed.in_turn(3, "data", range(300), 100)
    for epoch in whole.split(100):
        assert sorted(epoch.tolist()) == list(range(100))
    assert not torch.equal(whole[:100], whole[100:200])
    assert not torch.equal(whole[:100], keyed.in_turn(4, "data", range(100), 100))
    parts = [keyed.in_turn(3, "data", range(i, i + 30), 100) for i in range(0, 300, 30)]
    assert torch.equal(torch.cat(parts), whole)  # across the ends of epochs, too
