"""The structure of a latent space, measured in the space itself: z, z_d, and the rest of z_d.

Aligning z_d with z makes it resemble z, class structure included. The rest is the residual of the
least-squares regression of z_d on z: what it has gained is no linear copy of z.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from davae.metrics.content import linear_probe
from davae.metrics.metric import LatentSample

NEIGHBOURS = 10
PROBE_C = 0.01
"""Of the linear probe: latents have more dimensions than images have features."""
EMBEDDING_SEEDS = (1, 2, 3)


def standardise(latents: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """[N, C, h, w] with each channel's mean [C] taken off and its deviation [C] made 1, flattened:
    [N, C h w]."""
    scaled = (latents - mean[:, None, None]) / np.maximum(std, 1e-12)[:, None, None]
    return scaled.reshape(len(latents), -1)


def by_channel(latents: np.ndarray) -> np.ndarray:
    """[N, C, h, w] -> [N h w, C]: every position a sample."""
    return latents.transpose(0, 2, 3, 1).reshape(-1, latents.shape[1])


def scaled(train: np.ndarray, held: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both flattened, [N, C h w], their channels standardised by the training set's statistics."""
    channels = by_channel(train)
    mean, std = channels.mean(0), channels.std(0)
    return standardise(train, mean, std), standardise(held, mean, std)


LatentMetric = Callable[[LatentSample], float]


def silhouette(sample: LatentSample) -> float:
    """Silhouette of the classes of the held-out latents, in [-1, 1]; 0: none."""
    return float(silhouette_score(scaled(sample.train, sample.held)[1], sample.held_labels))


def knn_purity(sample: LatentSample) -> float:
    """Accuracy of 10 nearest neighbours among training latents, on held-out ones."""
    x, y = scaled(sample.train, sample.held)
    return float(
        KNeighborsClassifier(NEIGHBOURS).fit(x, sample.train_labels).score(y, sample.held_labels)
    )


def probe_accuracy(sample: LatentSample) -> float:
    """Accuracy of a linear classifier fitted on training latents, on held-out ones."""
    x, y = scaled(sample.train, sample.held)
    return float(linear_probe(x, sample.train_labels, PROBE_C).score(y, sample.held_labels))


def cka_with_base(sample: LatentSample) -> float:
    """Linear centred kernel alignment with z, in [0, 1]."""
    return linear_cka(scaled(sample.train, sample.held)[1], sample.base)


def channel_rank(sample: LatentSample) -> float:
    """Effective rank of the channels' covariance over positions, in [1, channels] (Roy & Vetterli
    2007)."""
    return effective_rank(by_channel(sample.held))


def linear_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Linear centred kernel alignment of x [N, p] and y [N, q] (Kornblith et al. 2019) from the
    unbiased estimate of HSIC (Song et al. 2012): about 0 for independent samples, however many
    dimensions they have, and so as often below 0."""
    kx, ky = (_without_diagonal(v.astype(np.float64) @ v.astype(np.float64).T) for v in (x, y))
    return float(_hsic(kx, ky) / np.sqrt(_hsic(kx, kx) * _hsic(ky, ky)))


def _without_diagonal(kernel: np.ndarray) -> np.ndarray:
    np.fill_diagonal(kernel, 0.0)
    return kernel


def _hsic(k: np.ndarray, m: np.ndarray) -> float:
    """Unbiased HSIC of two kernel matrices [N, N] whose diagonals are 0, N >= 4."""
    n = len(k)
    total = (k * m).sum() + k.sum() * m.sum() / ((n - 1) * (n - 2))
    return (total - 2 / (n - 2) * (k.sum(0) @ m.sum(0))) / (n * (n - 3))


def effective_rank(samples: np.ndarray) -> float:
    """exp(-sum p log p), p the covariance's eigenvalues over their sum; samples [N, C]."""
    values = np.linalg.eigvalsh(
        np.atleast_2d(np.cov(samples.astype(np.float64), rowvar=False))
    ).clip(0)
    p = values / values.sum()
    p = p[p > 0]
    return float(np.exp(-(p * np.log(p)).sum()))


def tsne(samples: np.ndarray, seed: int = 0, init: str = "pca") -> np.ndarray:
    """t-SNE of [N, p], perplexity 30, started from PCA: [N, 2] float32."""
    embed = TSNE(2, perplexity=min(30, (len(samples) - 1) / 3), init=init, random_state=seed)
    return embed.fit_transform(samples.astype(np.float32))


def neighbour_overlap(a: np.ndarray, b: np.ndarray, k: int = NEIGHBOURS) -> float:
    """Mean share of a point's k nearest neighbours that two embeddings [N, 2] have in common."""
    near = [
        NearestNeighbors(n_neighbors=k).fit(v).kneighbors(return_distance=False) for v in (a, b)
    ]
    return float(np.mean([len(set(p) & set(q)) / k for p, q in zip(*near, strict=True)]))


def stability(samples: np.ndarray, embedding: np.ndarray) -> float:
    """Overlap of the embedding with those from random starts, averaged over `EMBEDDING_SEEDS`."""
    return float(
        np.mean([neighbour_overlap(embedding, tsne(samples, s, "random")) for s in EMBEDDING_SEEDS])
    )
