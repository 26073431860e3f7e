"""Frechet and kernel distances."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

from davae.metrics.distribution import (
    Moments,
    _fast_frechet,
    frechet,
    frechet_infinity,
    frechet_note,
    kernel,
)
from davae.metrics.inception_score import inception_score


def normal(n, d, seed, scale=1.0, shift=0.0):
    return np.random.default_rng(seed).standard_normal((n, d)) * scale + shift


def with_moments(mean, covariance, n, seed):
    """Samples whose empirical mean and covariance (N - 1) are exactly these."""
    d = len(mean)
    x = np.random.default_rng(seed).standard_normal((n, d))
    x = (x - x.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T
    return x @ np.linalg.cholesky(np.atleast_2d(covariance)).T + mean


def test_frechet_of_two_gaussians_in_closed_form():
    a = with_moments(np.zeros(3), np.diag([1.0, 4.0, 9.0]), 100, 0)
    b = with_moments(np.array([1.0, 0.0, 2.0]), np.diag([4.0, 4.0, 1.0]), 100, 1)
    assert frechet(a, b).value == pytest.approx(1 + 4 + (1 - 2) ** 2 + 0 + (3 - 1) ** 2, rel=1e-6)
    assert frechet(a, a).value == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(ValueError, match="one N"):
        frechet(a[:20], b)


def brute_force_kernel(x, y):
    def k(a, b):
        return (a @ b / len(a) + 1) ** 3

    n = len(x)
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    return sum(
        k(x[i], x[j]) + k(y[i], y[j]) - k(x[i], y[j]) - k(x[j], y[i]) for i, j in pairs
    ) / len(pairs)


def test_kernel_distance_is_the_u_statistic():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12, 5)), rng.standard_normal((12, 5)) + 1
    assert kernel(x, y, paired=True).value == pytest.approx(brute_force_kernel(x, y))
    assert kernel(x, x, paired=True).value == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(ValueError, match="one N"):
        kernel(x, y[:5])


def test_kernel_distance_is_unbiased():
    rng = np.random.default_rng(1)
    values = [
        kernel(rng.standard_normal((20, 4)), rng.standard_normal((20, 4))).value for _ in range(400)
    ]
    assert abs(np.mean(values)) < 4 * np.std(values) / 20
    assert min(values) < 0


@pytest.mark.parametrize("size", [1, 7, 40])
def test_moments_of_parts_are_those_of_the_whole(size):
    x = np.random.default_rng(0).normal(3.0, 2.0, (40, 5)).astype(np.float32)
    found, whole = Moments.of_parts(x[i : i + size] for i in range(0, 40, size)), Moments.of(x)
    assert found.n == whole.n == 40
    np.testing.assert_allclose(found.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(found.covariance, whole.covariance, rtol=1e-11)
    with pytest.raises(ValueError, match="at least 2 samples; 1 given"):
        Moments.of_parts([x[:1]])


def test_degenerate_sets_are_said_and_not_hidden():
    x, y = normal(30, 40, 0), normal(30, 40, 1)
    assert "N = 30 <= d = 40" in frechet(x, y).note
    assert "N = 300 < 10 d = 400" in frechet(normal(300, 40, 0), normal(300, 40, 1)).note
    assert frechet_note(400, 40) == ""
    flat = normal(100, 4, 0)
    flat[:, 3] = flat[:, 0]
    other = normal(100, 4, 1)
    found = frechet(flat, other)
    assert found.note == "a covariance is singular"
    assert found.low < found.value < found.high < 2 * found.value
    assert found.value == pytest.approx(
        frechet(flat + 1e-6 * normal(100, 4, 2), other).value, rel=1e-3
    )
    assert "half the samples" in frechet_infinity(normal(300, 40, 0), normal(300, 40, 1)).note
    for one in (frechet, kernel):
        with pytest.raises(ValueError, match="N >= 2"):
            one(x[:1], y[:1])
    with pytest.raises(ValueError, match="at least 2 images; 1 given"):
        Moments.of(x[:1])


def test_ddof_changes_the_frechet_distance_by_its_closed_form():
    a = with_moments(np.zeros(2), np.diag([1.0, 4.0]), 40, 0)
    b = with_moments(np.ones(2), np.diag([4.0, 9.0]), 40, 1)
    trace = (1 - 2) ** 2 + (2 - 3) ** 2
    assert frechet(a, b).value == pytest.approx(2 + trace, rel=1e-6)
    assert frechet(a, b, ddof=0).value == pytest.approx(2 + trace * 39 / 40, rel=1e-6)


@pytest.mark.parametrize(("n", "d"), [(200, 8), (120, 2), (500, 20)])
def test_fd_infinity_interval_covers_zero_between_halves_of_one_distribution(n, d):
    mixing = np.random.default_rng(d).standard_normal((d, d)) * np.linspace(0.2, 2, d)
    covered = 0
    for draw in range(200):
        x = normal(2 * n, d, [d, draw]) @ mixing
        found = frechet_infinity(x[:n], x[n:], seed=draw)
        covered += found.low <= 0 <= found.high
    assert 0.90 <= covered / 200 <= 0.99


def test_fd_infinity_covers_and_centres_on_a_known_distance():
    d, n, shift, scale = 6, 300, 0.4, 1.3
    true = d * (shift**2 + (scale - 1) ** 2)
    found = [
        frechet_infinity(normal(n, d, [1, i]), normal(n, d, [2, i], scale, shift), i)
        for i in range(100)
    ]
    assert np.mean([f.low <= true <= f.high for f in found]) >= 0.88
    values = np.array([f.value for f in found])
    assert abs(values.mean() - true) < 4 * values.std() / 10
    biased = np.mean(
        [
            frechet(normal(n, d, [1, i]), normal(n, d, [2, i], scale, shift)).value
            for i in range(100)
        ]
    )
    assert biased - true > 4 * values.std() / 10  # what the extrapolation takes away


def test_intervals_of_pairs_that_depend_on_each_other():
    """A reconstruction's FD hardly varies; the interval must not be that of independent sets."""
    x = [normal(300, 4, [7, i]) for i in range(200)]
    y = [v * 1.2 + 0.1 * normal(300, 4, [8, i]) for i, v in enumerate(x)]
    found = [frechet(a, b) for a, b in zip(x, y, strict=True)]
    values = np.array([f.value for f in found])
    widths = np.array([f.high - f.low for f in found]) / 2 / 1.96
    assert widths.mean() == pytest.approx(values.std(), rel=0.3)


def test_the_extrapolations_distance_is_clean_fids():
    x, y = normal(60, 8, 0), normal(60, 8, 1, 1.3, 0.2)
    assert _fast_frechet(x, y) == pytest.approx(frechet(x, y).value, rel=1e-8)
    wide = normal(20, 30, 0), normal(20, 30, 1)  # singular covariances
    assert _fast_frechet(*wide) == pytest.approx(frechet(*wide).value, rel=1e-5)


def test_frechet_interval_covers_the_expectation_at_its_n():
    found = [frechet(normal(200, 5, [3, i]), normal(200, 5, [4, i], 1.4)) for i in range(200)]
    expected = np.mean([f.value for f in found])
    assert 0.88 <= np.mean([f.low <= expected <= f.high for f in found]) <= 0.995
    assert_as_wide_as_the_spread(found)


def assert_as_wide_as_the_spread(measured):
    """The intervals' mean half width, in standard errors, is about the values' own deviation: near
    0, where the width grows with the distance that is sought, up to 1.6 of it."""
    values = np.array([m.value for m in measured])
    widths = np.array([m.high - m.low for m in measured]) / 2 / 1.96
    assert 0.75 * values.std() <= widths.mean() <= 1.6 * values.std()


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_kernel_interval_covers_the_true_distance(shift):
    d, n = 4, 150
    true = kernel(normal(6000, d, 100), normal(6000, d, 101, 1.0, shift)).value if shift else 0.0
    found = [kernel(normal(n, d, [5, i]), normal(n, d, [6, i], 1.0, shift)) for i in range(200)]
    assert 0.88 <= np.mean([f.low <= true <= f.high for f in found]) <= 0.995
    assert_as_wide_as_the_spread(found)


def test_a_set_too_like_its_reference_has_a_sane_interval():
    x = normal(64, 6, 0)
    for found in (kernel(x, x), frechet_infinity(x, x[::-1] + 1e-3 * normal(64, 6, 1))):
        assert found.low <= found.value <= found.high


def test_torch_fidelity_agrees_on_the_same_features():
    x, y = normal(400, 16, 0), normal(400, 16, 1, 1.2, 0.3)
    statistics = [fid_features_to_statistics(torch.from_numpy(v)) for v in (x, y)]
    theirs = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert frechet(x, y).value == pytest.approx(theirs, rel=1e-3)
    settings = {
        "kid_subsets": 1,
        "kid_subset_size": 400,
        "kid_kernel": "poly",
        "kid_kernel_poly_degree": 3,
        "kid_kernel_poly_gamma": None,
        "kid_kernel_poly_coef0": 1,
        "rng_seed": 0,
        "verbose": False,
    }
    theirs = kid_features_to_metric(torch.from_numpy(x), torch.from_numpy(y), **settings)
    assert kernel(x, y).value == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-6)
    logits = torch.from_numpy(normal(500, 7, 2, 3.0))
    for splits in (1, 10):
        theirs = isc_features_to_metric(logits, splits=splits)["inception_score_mean"]
        assert inception_score(logits.softmax(1).numpy(), splits).value == pytest.approx(
            theirs, rel=1e-6
        )
