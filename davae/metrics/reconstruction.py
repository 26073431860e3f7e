"""Reconstruction metrics on uint8 images."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from skimage.metrics import structural_similarity

from davae.data import pixels
from davae.data.mapped import blocks

PSNR_CAP_DB = 100.0
"""PSNR of two equal images, which has no finite value."""


def psnr(images: np.ndarray, references: np.ndarray) -> np.ndarray:
    """PSNR in dB, data range 255, of each pair of uint8 images [N, 3, H, W] -> [N]."""
    _same_shape(images, references)
    values = [
        pixels.psnr(torch.from_numpy(np.array(a)), torch.from_numpy(np.array(b)), data_range=255.0)
        for a, b in blocks(images, references)
    ]
    return torch.cat(values).clamp(max=PSNR_CAP_DB).numpy()


def ssim(images: np.ndarray, references: np.ndarray) -> np.ndarray:
    """SSIM (Wang et al. 2004: Gaussian window 11x11, sigma 1.5, data range 255) of each pair ->
    [N]. Pairs are shared among as many threads as torch has."""
    _same_shape(images, references)
    options = {
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
        "data_range": 255,
    }
    of_pair = partial(structural_similarity, channel_axis=0, **options)
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return np.concatenate(
            [[*pool.map(of_pair, *block)] for block in blocks(images, references)]
        )


def _same_shape(images: np.ndarray, references: np.ndarray) -> None:
    if images.dtype != np.uint8 or references.dtype != np.uint8 or images.shape != references.shape:
        conflict = f"{images.dtype} {images.shape} and {references.dtype} {references.shape}"
        raise ValueError(
            f"reconstruction metrics compare two uint8 arrays of one shape, not {conflict}"
        )
