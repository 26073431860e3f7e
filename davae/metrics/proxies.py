"""Three properties of a latent space that are said to foretell generation (PAE, 2026): spatial
structure, local continuity and global semantics, judged by features of a vision network."""

from __future__ import annotations

import numpy as np

from davae.metrics.latents import linear_cka


def cosine_grams(maps: np.ndarray) -> np.ndarray:
    """Cosines between the positions of each map [N, c, h, w], centred over positions:
    [N, h w, h w]."""
    rows = maps.reshape(len(maps), maps.shape[1], -1).transpose(0, 2, 1).astype(np.float64)
    rows = rows - rows.mean(1, keepdims=True)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=2, keepdims=True), 1e-12)
    return rows @ rows.transpose(0, 2, 1)


def spatial_structure(latents: np.ndarray, features: np.ndarray) -> float:
    """Mean over images of the correlation of the two Gram matrices' entries off the diagonal.

    latents [N, C, h, w], features [N, c, h, w] of the same images on the same grid; in [-1, 1]."""
    if latents.shape[2:] != features.shape[2:] or len(latents) != len(features):
        raise ValueError(f"latents {latents.shape} and features {features.shape}: one grid, please")
    places = np.triu_indices(latents.shape[2] * latents.shape[3], 1)
    pairs = zip(cosine_grams(latents), cosine_grams(features), strict=True)
    return float(np.mean([np.corrcoef(a[places], b[places])[0, 1] for a, b in pairs]))


def local_change(plain: np.ndarray, disturbed: np.ndarray) -> float:
    """How far decoded images move in features when their latents are disturbed a little, in units
    of how far two images lie apart: the root of the ratio of mean squares. Lower is smoother.

    plain, disturbed: features [N, d] of the same images."""
    moved = np.square(disturbed - plain).sum(1).mean()
    apart = 2 * plain.astype(np.float64).var(0, ddof=1).sum()  # of two independent images
    return float(np.sqrt(moved / apart))


def global_semantics(latents: np.ndarray, features: np.ndarray) -> float:
    """Linear CKA of whole latents [N, C, h, w] and pooled features [N, d] of the same images."""
    return linear_cka(latents.reshape(len(latents), -1), features)
