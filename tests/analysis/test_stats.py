"""Intervals over seeds."""

import numpy as np
import pytest

from davae.analysis.stats import paired_difference, t_interval


def test_intervals_by_hand():
    interval = t_interval([1.0, 2.0, 3.0])
    assert interval.mean == 2.0
    assert interval.high - 2.0 == pytest.approx(4.302652729911275 / np.sqrt(3))
    assert t_interval([5.0]).low == -np.inf
    assert paired_difference({0: 3.0, 1: 5.0, 2: 9.0}, {0: 1.0, 1: 3.0}).mean == 2.0
