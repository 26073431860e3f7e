"""Intervals over seeds."""

import numpy as np
import pytest

from davae.analysis.stats import holm, paired_difference, t_interval


def test_intervals_by_hand():
    interval = t_interval([1.0, 2.0, 3.0])
    assert interval.mean == 2.0
    assert interval.high - 2.0 == pytest.approx(4.302652729911275 / np.sqrt(3))
    assert t_interval([5.0]).low == -np.inf
    assert paired_difference({0: 3.0, 1: 5.0, 2: 9.0}, {0: 1.0, 1: 3.0}).mean == 2.0


def test_p_values_and_holm_by_hand():
    interval = t_interval([1.0, 2.0, 3.0])  # t = 2 sqrt(3), 2 degrees of freedom
    t = 2 * np.sqrt(3)
    assert interval.p == pytest.approx(1 - t / np.sqrt(2 + t**2))
    assert t_interval([5.0]).text() == "one seed"
    assert t_interval([5.0, 5.0]).p == 0.0
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
