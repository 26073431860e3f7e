"""Verdicts on made-up pairs, and the error rates of the procedure."""

import math

import numpy as np
import pytest
from scipy import stats

from davae.track.margins import Limit
from davae.track.paired import Pairs
from davae.track.power import error_rates
from davae.track.verdict import (
    EXIT_CODES,
    TRIMMED,
    Change,
    Verdict,
    judge,
    judge_confirmed,
    of_ratios,
    worst,
)

MARGIN = 0.03


def test_the_interval_is_tukey_and_mclaughlins():
    ratios = np.random.default_rng(0).normal(0.02, 0.01, 20)
    found = of_ratios(ratios, 0.98)
    cut = int(TRIMMED * 20)
    kept = np.sort(ratios)[cut:-cut]
    clipped = np.clip(ratios, kept[0], kept[-1])
    error = clipped.std(ddof=1) / ((1 - 2 * TRIMMED) * math.sqrt(20))
    half = stats.t.ppf(0.99, len(kept) - 1) * error
    assert found.estimate == pytest.approx(kept.mean())
    assert (found.low, found.high) == pytest.approx((kept.mean() - half, kept.mean() + half))


def test_a_constant_ratio_is_found_exactly_and_bursts_are_left_out():
    ratios = np.full(10, math.log(1.1))
    assert of_ratios(ratios).percent == pytest.approx((10, 10, 10))
    ratios[3] += math.log(5)
    assert of_ratios(ratios).percent[0] == pytest.approx(10)


def test_what_can_not_be_compared_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        judge(Change(0, 0, 0, 8), 0)


@pytest.mark.parametrize(
    ("estimate", "half", "verdict"),
    [
        (0.00, 0.02, Verdict.OK),
        (0.00, 0.04, Verdict.INCONCLUSIVE),
        (0.05, 0.04, Verdict.REGRESSION),
        (0.05, 0.06, Verdict.INCONCLUSIVE),
        (0.02, 0.015, Verdict.INCONCLUSIVE),  # slower for certain, but not by the margin
        (-0.20, 0.10, Verdict.OK),
    ],
)
def test_verdicts(estimate, half, verdict):
    assert judge(Change(estimate, estimate - half, estimate + half, 8), MARGIN) == verdict


def test_a_regression_needs_both_sets():
    spread = np.linspace(-0.005, 0.005, 10)
    slow, same = 0.1 + spread, spread
    assert judge_confirmed(slow, slow, MARGIN) == Verdict.REGRESSION
    assert judge_confirmed(slow, same, MARGIN) == Verdict.INCONCLUSIVE
    assert judge_confirmed(same, same, MARGIN) == Verdict.OK


def test_the_worst_case_decides_the_exit_code():
    assert worst([Verdict.OK, Verdict.INCONCLUSIVE, Verdict.REGRESSION]) == Verdict.REGRESSION
    assert worst([Verdict.REGRESSION, Verdict.INVALID]) == Verdict.INVALID
    assert worst([]) == Verdict.OK
    assert [EXIT_CODES[v] for v in Verdict] == [0, 1, 3, 4, 5]


def test_error_rates_on_gaussian_noise():
    times = np.exp(np.random.default_rng(1).normal(0.001, 0.015 / 2**0.5, (2, 400)))
    noise = Pairs(*(list(side) for side in times))
    same = error_rates(noise, slowdown=0.0, limit=Limit(MARGIN), pairs=16, runs=1000, seed=0)
    slower = error_rates(noise, slowdown=0.06, limit=Limit(MARGIN), pairs=16, runs=1000, seed=0)
    assert same[Verdict.REGRESSION] <= 0.01
    assert same[Verdict.OK] >= 0.9
    assert slower[Verdict.REGRESSION] >= 0.95
    assert sum(same.values()) == pytest.approx(1)
