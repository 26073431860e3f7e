"""Intervals over samples."""

import pytest

from davae.metrics.interval import around, score_interval


def test_score_interval_by_hand():
    assert score_interval(3.0, 0.0, 0.0, 1.0) == pytest.approx(around(3.0, 1.0))
    low, high = score_interval(2.0, 2.5, 0.5, 0.04)
    for end in (
        low,
        high,
    ):  # the ends solve (value - theta)^2 = z^2 (pairs + theta linear / biased)
        assert (2.0 - end) ** 2 == pytest.approx(1.959964**2 * (0.04 + end * 0.2), rel=1e-5)


@pytest.mark.parametrize("value", [-50.0, -3.0, -1.5, 0.0, 1.5, 3.0, 50.0])
@pytest.mark.parametrize("linear", [0.0, 0.5, 40.0])
def test_score_interval_holds_its_value_and_covers_zero_by_the_second_order_alone(value, linear):
    low, high = score_interval(value, 2.0, linear, 1.0)
    assert low < value < high
    assert (low <= 0 <= high) == (abs(value) <= 1.959964)
