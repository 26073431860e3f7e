"""Latent structure against closed forms."""

from itertools import permutations

import numpy as np
import pytest

from davae.metrics import latents as space
from davae.metrics.metric import LatentSample
from davae.metrics.registry import METRICS


def classes(n, seed, gap):
    """Latents [n, 3, 2, 2] of two classes whose channel means differ by `gap`, and labels."""
    y = np.arange(n) % 2
    x = np.random.default_rng(seed).standard_normal((n, 3, 2, 2))
    return x + gap * y[:, None, None, None], y


def companions(train, train_y, held, held_y):
    """Every metric of latents by name, as METRICS has them."""
    base = space.scaled(train, held)[1]
    sample = LatentSample(train, train_y, held, held_y, base)
    return {m.name: m.compute(sample).value for m in METRICS.values() if m.needs == "latents"}


def test_structure_of_separate_and_of_mixed_classes():
    found = companions(*classes(200, 0, 8.0), *classes(100, 1, 8.0))
    assert found["knn_purity"] == found["latent_probe"] == 1.0
    assert found["silhouette"] > 0.6
    assert found["cka"] == pytest.approx(1.0)
    found = companions(*classes(400, 2, 0.0), *classes(400, 3, 0.0))
    assert abs(found["knn_purity"] - 0.5) < 0.12
    assert abs(found["silhouette"]) < 0.05
    assert found["effective_rank"] == pytest.approx(3, abs=0.02)


def test_cka_closed_forms():
    x = np.random.default_rng(0).standard_normal((50, 4))
    rotation = np.linalg.qr(np.random.default_rng(1).standard_normal((4, 4)))[0]
    assert space.linear_cka(x, 3 * x @ rotation + 5) == pytest.approx(1.0)
    rng = np.random.default_rng(2)
    independent = [space.linear_cka(*rng.standard_normal((2, 30, 60))) for _ in range(300)]
    assert abs(np.mean(independent)) < 4 * np.std(independent) / np.sqrt(300)  # however wide


def test_unbiased_hsic_by_the_sum_over_distinct_places():
    """Song et al. 2012: the mean over all quadruples of distinct i, j, q, r of
    k_ij (m_ij + m_qr - 2 m_iq)."""
    x, y = np.random.default_rng(3).standard_normal((2, 6, 3))
    k, m = x @ x.T, y @ y.T
    expected = np.mean(
        [k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q]) for i, j, q, r in permutations(range(6), 4)]
    )
    k, m = (kernel - np.diag(np.diag(kernel)) for kernel in (k, m))
    assert space._hsic(k, m) == pytest.approx(expected)


def test_effective_rank_closed_forms():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2000, 5))
    x = (x - x.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T
    assert space.effective_rank(x) == pytest.approx(5.0)
    assert space.effective_rank(x[:, :1] * np.ones(4)) == pytest.approx(1.0)
    unequal = x[:, :2] * np.sqrt([3.0, 1.0])  # p = 3/4, 1/4
    assert space.effective_rank(unequal) == pytest.approx(
        np.exp(-0.75 * np.log(0.75) - 0.25 * np.log(0.25))
    )


def test_tsne_is_repeatable_and_neighbours_are_counted(monkeypatch):
    x = np.random.default_rng(0).standard_normal((60, 5))
    np.testing.assert_array_equal(space.tsne(x), space.tsne(x))
    line = np.stack([np.arange(40.0), np.zeros(40)], 1)
    assert space.neighbour_overlap(line, 2 * line + 1) == 1.0
    shuffled = line[np.random.default_rng(0).permutation(40)]
    assert space.neighbour_overlap(line, shuffled) < 0.6
    starts = iter([line, shuffled, line])  # what t-SNE gives from three random starts
    monkeypatch.setattr(space, "tsne", lambda samples, seed, init: next(starts))
    overlap = space.neighbour_overlap(line, shuffled)
    assert space.stability(x, line) == pytest.approx((1 + overlap + 1) / 3)
