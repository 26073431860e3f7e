"""Radial power spectra of latents (Fig. S5)."""

from __future__ import annotations

import numpy as np


def radial_spectrum(latents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(frequencies in cycles a position, power density) of [N, C, h, w] with h = w; each [h / 2].

    Every channel is brought to mean 0 and deviation 1 over the set, its own mean taken off each map
    and a Hann window laid on it against the wrap-around; the squared FFT is averaged over images,
    channels and rings of width 1 / h. White noise gives 1 at every frequency.
    """
    h, w = latents.shape[2:]
    if h != w or h < 4:
        raise ValueError(f"spectra are of square latents of 4 positions or more; given {h}x{w}")
    x = latents.astype(np.float64)
    std = x.std((0, 2, 3), keepdims=True)
    if not (std > 0).all():
        raise ValueError("a channel is constant: it has no spectrum")
    x = (x - x.mean((2, 3), keepdims=True)) / std
    window = np.outer(np.hanning(h + 2)[1:-1], np.hanning(h + 2)[1:-1])
    power = (np.abs(np.fft.fft2(x * window)) ** 2).mean((0, 1)) / (window**2).sum()
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(h), np.fft.fftfreq(h), indexing="ij"))
    ring = np.round(frequency * h).astype(int)
    rings = np.arange(1, h // 2 + 1)
    return rings / h, np.array([power[ring == r].mean() for r in rings])


def high_frequency_share(frequencies: np.ndarray, power: np.ndarray, above: float = 0.25) -> float:
    """Share of the power at frequencies above `above` cycles a position, rings weighted by their
    area."""
    weights = frequencies * power
    return float(weights[frequencies > above].sum() / weights.sum())
