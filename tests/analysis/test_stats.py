"""Intervals over seeds."""

import numpy as np
import pytest
from scipy import stats

from davae.analysis.stats import (
    detectable_effect,
    equal_margin,
    holm,
    paired_difference,
    t_interval,
)


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


@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_detectable_effect_is_found_as_often_as_it_says(n):
    random = np.random.default_rng(n)
    spread = t_interval(np.sqrt(n) * random.permutation(np.linspace(-1, 1, n)))
    effect = detectable_effect(spread)
    deviation = (spread.high - spread.mean) / stats.t.ppf(0.975, n - 1) * np.sqrt(n)
    drawn = effect + deviation * random.normal(size=(20_000, n))
    found = stats.ttest_1samp(drawn, 0.0, axis=1).pvalue < 0.05
    assert found.mean() == pytest.approx(0.8, abs=0.012)
    assert detectable_effect(t_interval([1.0])) == np.inf


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_the_margin_of_no_difference_is_kept_as_often_as_it_says(n):
    random = np.random.default_rng(n)
    spread = t_interval(np.sqrt(n) * random.permutation(np.linspace(-1, 1, n)))
    limit = stats.t.ppf(0.975, n - 1)
    deviation = (spread.high - spread.mean) / limit * np.sqrt(n)
    drawn = deviation * random.normal(size=(20_000, n))
    half = limit * drawn.std(axis=1, ddof=1) / np.sqrt(n)
    within = np.abs(drawn.mean(axis=1)) + half < equal_margin(spread)
    assert within.mean() == pytest.approx(0.8, abs=0.012)
    assert equal_margin(t_interval([1.0])) == np.inf


@pytest.mark.parametrize("n", [3, 5])
def test_the_interval_covers_the_truth(n):
    drawn = np.random.default_rng(0).normal(2.0, 3.0, (10_000, n))
    covered = [(i.low <= 2.0 <= i.high) for i in map(t_interval, drawn)]
    assert 0.93 < np.mean(covered) < 0.97
