"""Rank correlations."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from davae.analysis import ranks
from davae.analysis.ranks import agreement, rank_correlation


def test_spearmans_correlation_and_interval():
    x = list(range(1, 11))
    y = [2, 1, 4, 3, 6, 5, 8, 7, 10, 9]  # d^2 sums to 10: 1 - 6 * 10 / 990
    found = rank_correlation(x, y)
    r = 1 - 60 / 990
    half = stats.norm.ppf(0.975) * np.sqrt((1 + r**2 / 2) / 7)
    assert found.mean == pytest.approx(r)
    assert (found.low, found.high) == pytest.approx(
        np.tanh([np.arctanh(r) - half, np.arctanh(r) + half])
    )
    perfect = rank_correlation(x, np.exp(x))
    assert perfect.mean == pytest.approx(1.0)
    assert 0.9 < perfect.low < 0.99  # of so few pairs it is not certain
    with pytest.raises(ValueError, match="constant"):
        rank_correlation([1, 1, 1], [1, 2, 3])


def test_few_pairs_have_an_exact_p_and_no_interval():
    found = rank_correlation([1, 2, 3, 4, 5], [1, 2, 3, 4, 5])
    assert found.p == pytest.approx(2 / 120)  # one of 5! orderings, and its reverse
    assert (found.low, found.high) == (-1.0, 1.0)
    assert rank_correlation([1, 2, 3], [3, 2, 1]).p == pytest.approx(2 / 6)


@pytest.mark.parametrize(
    ("correlation", "pairs"), [(0.0, 25), (0.6, 25), (0.9, 25), (0.6, 10), (0.9, 10)]
)
def test_the_interval_covers_the_truth(correlation, pairs, monkeypatch):
    monkeypatch.setattr(ranks, "ORDERINGS", 1)  # the p-value is not looked at
    random = np.random.default_rng(0)
    truth = 6 / np.pi * np.arcsin(correlation / 2)  # of a Gaussian pair
    x = random.normal(size=(1_000, pairs))
    y = correlation * x + np.sqrt(1 - correlation**2) * random.normal(size=x.shape)
    found = [rank_correlation(a, b) for a, b in zip(x, y, strict=True)]
    assert np.mean([i.low <= truth <= i.high for i in found]) == pytest.approx(0.95, abs=0.025)


def test_extractors_that_order_arms_alike_are_told_from_those_that_do_not():
    values = {
        "x-8d": [1, 2, 3, 4, 5, 6, 7],
        "y-9d": [2, 3, 4, 5, 6, 7, 9],
        "z-9d": [7, 6, 5, 4, 3, 2, 1],
    }
    rows = [
        {"arm": arm, "seed": 0, "metric": "m", "value": v, "protocol": f"{name}-n9/00ff00ff00"}
        for name, column in values.items()
        for arm, v in zip("abcdefg", column, strict=True)
    ]
    rows += [{**row, "metric": "own", "protocol": "p"} for row in rows[:7]]
    alike, reverse = agreement(pd.DataFrame(rows))
    assert "m: x-8d and y-9d order the 7 arms alike" in alike
    assert "m: x-8d and z-9d order the 7 arms not surely alike" in reverse
    few = pd.DataFrame(rows).query("arm <= 'd'")
    assert "order the 4 arms in a way that so few cannot be sure of (rank" in agreement(few)[0]


def test_a_metric_that_is_alike_in_all_arms_orders_nothing():
    """As rKD of one autoencoder that every arm has."""
    rows = [(arm, by, 5.0) for arm in "abc" for by in ("one-n2/ab12", "two-n2/cd34")]
    frame = pd.DataFrame(rows, columns=["arm", "protocol", "value"]).assign(metric="rkd")
    assert agreement(frame) == []
