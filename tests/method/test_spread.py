"""Moments of a set in parts."""

import pytest
import torch

from davae.method.alignment import channel_variance
from davae.method.spread import Spread, spread


def test_parts_together_are_the_whole():
    torch.manual_seed(0)
    whole = 3.0 + torch.randn(50, 4, 3, 5, dtype=torch.float64) * torch.arange(1, 5)[:, None, None]
    found = spread([whole[:7], whole[7:8], whole[8:]])
    assert found.count == 50 * 15
    assert found.mean.tolist() == pytest.approx(whole.mean((0, 2, 3)).tolist())
    assert found.variance.tolist() == pytest.approx(channel_variance(whole).tolist())


def test_one_part_is_itself_to_the_last_bit():
    values = torch.randn(9, 4, 3, 5)
    assert torch.equal(spread([values]).variance, channel_variance(values))


def test_by_hand():
    first, second = (torch.tensor(v)[:, None, None, None] for v in ([1.0, 3.0], [8.0, 8.0]))
    found = Spread.of(first) + Spread.of(second)
    assert (found.mean.item(), found.variance.item()) == (5.0, pytest.approx(38 / 3))
