"""Distances between two sets of features [N, d], each with its 95% interval."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from cleanfid.fid import frechet_distance
from scipy.linalg import eigh, pinvh

from davae.core.records import Measurement
from davae.metrics.interval import around, score_interval

CHUNK_ENTRIES = 2**24
"""Kernel values held at once, in float64."""
SPLITTINGS = 8
"""Random halvings over which FD at half the samples is averaged."""
PAIRS = 20_000
"""Random pairs of samples from which the second-order variance of FD is measured."""


@dataclass(frozen=True)
class Moments:
    """Mean [d] and covariance [d, d] of n samples, the covariance over n - ddof."""

    mean: np.ndarray
    covariance: np.ndarray
    n: int | None
    """None for published statistics that do not say."""

    @staticmethod
    def of(features: np.ndarray, ddof: int = 1) -> Moments:
        """The moments of features [N, d], summed in float64."""
        x = features.astype(np.float64)
        if len(x) < 2:
            raise ValueError(f"a covariance needs at least 2 images; {len(x)} given")
        return Moments(x.mean(0), np.atleast_2d(np.cov(x, rowvar=False, ddof=ddof)), len(x))

    @staticmethod
    def of_parts(parts: Iterable[np.ndarray]) -> Moments:
        """The same, over n - 1, of features [N, d] that are seen in parts (Chan et al. 1983)."""
        n, mean, scatter = 0, np.zeros(()), np.zeros(())
        for part in parts:
            x = part.astype(np.float64)
            centre = x.mean(0)
            apart, total = centre - mean, n + len(x)
            scatter = scatter + (x - centre).T @ (x - centre)
            if n:
                scatter = scatter + np.outer(apart, apart) * (n * len(x) / total)
            mean, n = mean + apart * (len(x) / total), total
        if n < 2:
            raise ValueError(f"a covariance needs at least 2 samples; {n} given")
        return Moments(mean, scatter / (n - 1), n)


def check_pair(x: np.ndarray, y: np.ndarray) -> None:
    """Raise ValueError unless x and y are [N, d] of one shape with N >= 2."""
    if x.ndim != 2 or x.shape != y.shape or len(x) < 2:
        raise ValueError(
            f"a distance compares two [N, d] arrays of one N >= 2, not {x.shape} and {y.shape}"
        )


def frechet_of_moments(x: Moments, y: Moments) -> float:
    """|mu_x - mu_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^1/2) by clean-fid's function."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # a singular covariance is said in our note
        return float(frechet_distance(x.mean, x.covariance, y.mean, y.covariance))


def frechet(x: np.ndarray, y: np.ndarray, ddof: int = 1) -> Measurement:
    """Frechet distance of features [N, d], by clean-fid's function; biased upward by O(d / N).

    The interval is of its expectation at this N, from the infinitesimal jackknife. y_i may depend
    on x_i, as a reconstruction does."""
    check_pair(x, y)
    first, second = Moments.of(x, ddof), Moments.of(y, ddof)
    value = frechet_of_moments(first, second)
    note = frechet_note(len(x), x.shape[1], (first, second))
    low, high = around(value, math.sqrt(_first_order(x, y)))
    return Measurement("fd", value, len(x), low, high, note=note)


def frechet_note(n: int, dimensions: int, moments: tuple[Moments, ...] = ()) -> str:
    """What to say of a Frechet distance of n samples: empty if nothing."""
    notes = []
    if n <= dimensions:
        notes.append(
            f"N = {n} <= d = {dimensions}: the covariance is singular and the value mostly bias"
        )
    elif n < 10 * dimensions:
        notes.append(f"N = {n} < 10 d = {10 * dimensions}: the bias is a large part of the value")
    if n > dimensions and any(
        np.linalg.matrix_rank(m.covariance, hermitian=True) < dimensions for m in moments
    ):
        notes.append("a covariance is singular")
    return "; ".join(notes)


def frechet_infinity(x: np.ndarray, y: np.ndarray, seed: int = 0) -> Measurement:
    """FD extrapolated to infinitely many samples: 2 FD(N) - mean FD(N / 2) (cf. Chong & Forsyth
    2020).

    The bias of FD is linear in 1 / N to first order; the line through the distance at N and the
    mean over seeded halvings at N / 2 is followed to 1 / N = 0. May be negative. The interval
    covers the distance of the distributions, 0 included."""
    check_pair(x, y)
    half, d = len(x) // 2, x.shape[1]
    if half < 2:
        raise ValueError(f"FD at half the samples needs at least 4 images; {len(x)} given")
    rng = np.random.default_rng(seed)
    halves = []
    for _ in range(SPLITTINGS):
        a, b = rng.permutation(len(x)), rng.permutation(len(y))
        halves += [_fast_frechet(x[a[s]], y[b[s]]) for s in (slice(half), slice(half, 2 * half))]
    whole = _fast_frechet(x[: 2 * half], y[: 2 * half])
    note = frechet_note(half, d)
    note = f"at half the samples: {note}" if note else ""
    value = 2 * whole - float(np.mean(halves))
    low, high = score_interval(value, whole, _first_order(x, y), _second_order(x, y))
    return Measurement("fd_inf", value, len(x), low, high, note=note)


def _root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric square root of a positive semi-definite matrix."""
    values, vectors = eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def _fast_frechet(x: np.ndarray, y: np.ndarray) -> float:
    """FD with the trace of the root taken from eigenvalues: what clean-fid's function gives,
    sooner."""
    a, b = Moments.of(x), Moments.of(y)
    root = _root(a.covariance)
    values = eigh(root @ b.covariance @ root, eigvals_only=True)
    traces = (
        np.trace(a.covariance) + np.trace(b.covariance) - 2 * np.sqrt(np.maximum(values, 0)).sum()
    )
    return float(((a.mean - b.mean) ** 2).sum() + traces)


def _first_order(x: np.ndarray, y: np.ndarray) -> float:
    """The infinitesimal jackknife's variance of FD over pairs (x_i, y_i), which may depend on each
    other."""
    a, b = Moments.of(x), Moments.of(y)
    return float((_influence(x, a, b) + _influence(y, b, a)).var(ddof=1) / len(x))


def _influence(x: np.ndarray, a: Moments, b: Moments) -> np.ndarray:
    """First-order effect of each sample on FD: 2 (mu_a - mu_b).(x - mu_a) + (x - mu_a)^T (I - T) (x
    - mu_a).

    T = S_b^1/2 (S_b^1/2 S_a S_b^1/2)^-1/2 S_b^1/2 carries N(0, S_a) onto N(0, S_b).
    """
    root = _root(b.covariance)
    transport = root @ pinvh(_root(root @ a.covariance @ root)) @ root
    centred = x.astype(np.float64) - a.mean
    quadratic = centred * (centred @ (np.eye(len(transport)) - transport))
    return 2 * centred @ (a.mean - b.mean) + quadratic.sum(1)


def _second_order(x: np.ndarray, y: np.ndarray) -> float:
    """Variance of FD between two samples of one distribution, 2 tr(C^2) / N^2, plus that of the
    halvings.

    About a common covariance with eigenvalues l, FD is the squared norm of the mean of phi(x_i) -
    phi(y_i) with phi(u) = (u_i, u_i u_j / (2 (l_i + l_j))^1/2), u in the eigenbasis; C is the
    covariance of those differences. tr(C^2) is the variance of their inner products over pairs i,
    j."""
    n = len(x)
    u, v = (f.astype(np.float64) - f.mean(0, dtype=np.float64) for f in (x, y))
    values, vectors = eigh(np.atleast_2d(np.cov(np.concatenate([u, v]), rowvar=False)))
    kept = values > values.max() * 1e-10
    values, u, v = values[kept], (u @ vectors)[:, kept], (v @ vectors)[:, kept]
    weights = 1 / (2 * (values[:, None] + values))
    i, j = np.random.default_rng(0).integers(0, n, (2, PAIRS))
    i, j = i[i != j], j[i != j]
    inner = []
    for start in range(0, len(i), 2000):
        p, q = i[start : start + 2000], j[start : start + 2000]
        total = np.zeros(len(p))
        for a, b, sign in ((u, u, 1), (v, v, 1), (u, v, -1), (v, u, -1)):
            product = a[p] * b[q]
            total += sign * (product.sum(1) + ((product @ weights) * product).sum(1))
        inner.append(total)
    return 2 * float(np.concatenate(inner).var()) / n**2 * (1 + 1 / SPLITTINGS)


def kernel(x: np.ndarray, y: np.ndarray, paired: bool = False) -> Measurement:
    """Unbiased MMD^2 with the kernel (x.y / d + 1)^3 over all pairs; may be negative (KID's
    estimator).

    Every sample is used once, so there is nothing random in it. paired: leave out the pairs
    (x_i, y_i), as where y_i is a reconstruction of x_i (the U-statistic of Gretton et al. 2012,
    Lemma 6). The interval is of the U-statistic.
    """
    check_pair(x, y)
    x, y = x.astype(np.float64), y.astype(np.float64)
    n, d = x.shape
    rows, squares, cross_sum, diagonal = np.zeros(n), 0.0, 0.0, 0.0
    step = max(1, CHUNK_ENTRIES // (4 * n))
    for start in range(0, n, step):
        own = np.arange(start, min(start + step, n))
        cross = (x[own] @ y.T / d + 1) ** 3
        cross_sum += float(cross.sum())
        diagonal += float(cross[own - start, own].sum())
        h = (
            (x[own] @ x.T / d + 1) ** 3
            + (y[own] @ y.T / d + 1) ** 3
            - cross
            - (y[own] @ x.T / d + 1) ** 3
        )
        h[own - start, own] = 0
        rows[own] = h.sum(1)
        squares += float((h**2).sum())
    every = n * (n - 1)
    value = float(rows.sum()) / every
    own_pairs = ((((x**2).sum(1) / d + 1) ** 3) + ((y**2).sum(1) / d + 1) ** 3).sum()
    biased = (value * every + float(own_pairs) - 2 * diagonal) / n**2
    linear = 4 * float((rows / (n - 1)).var(ddof=1)) / n
    pairs = 2 * max(squares / every - value**2, 0.0) / every
    if not paired:
        value += 2 * (cross_sum - diagonal) / every - 2 * cross_sum / n**2
    return Measurement("kd", value, n, *score_interval(value, biased, linear, pairs))
