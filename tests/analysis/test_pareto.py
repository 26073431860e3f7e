"""Pareto fronts with known answers."""

import numpy as np
import pytest

from davae.analysis.pareto import front, front_shares


def test_the_front_by_hand():
    points = np.array([[1, 5], [2, 3], [3, 3], [4, 1], [5, 5], [2, 3]])
    assert front(points).tolist() == [True, True, False, True, False, True]  # twins stay both


def test_every_other_point_is_beaten_and_no_point_of_the_front_is():
    points = np.random.default_rng(0).normal(size=(200, 2))
    kept = front(points)
    for i, point in enumerate(points):
        beaten = ((points <= point).all(1) & (points < point).any(1)).any()
        assert beaten != kept[i]


def test_shares_say_how_sure_the_front_is():
    noise = np.random.default_rng(1).normal(0, 0.01, (5, 2))
    near = np.array([[0.0, 1.0], [0.1, 1.0], [-0.1, 1.0], [0.05, 1.0], [-0.05, 1.0]])
    values = {
        "best in x": near,
        "as good in x": near[::-1],
        "best in y": np.array([1.0, 0.0]) + noise,
        "beaten": np.array([2.0, 2.0]) + noise,
    }
    shares = front_shares(values)
    assert shares["best in y"] == 1.0
    assert shares["beaten"] == 0.0
    assert 0.3 < shares["best in x"] < 0.7
    with pytest.raises(ValueError, match="different seeds"):
        front_shares({"a": near, "b": near[:3]})
