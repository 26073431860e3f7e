"""What an image costs by stage, and what that predicts for a GPU: no measurement.

FLOPs are exact, counted on `meta`; seconds follow from one share of the peak rate (MFU), which is
fitted to the published throughputs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from benchmarks.scenarios import Form
from davae.core.experiment import Experiment
from davae.core.presets import PRESETS
from davae.measure.flops import count_flops
from davae.models.unweighted import architecture, tokens
from davae.plan.count import Count, count
from davae.plan.shares import PEAK_TFLOPS
from davae.plan.stages import forwards

PRESET = "sd35m_1k"
PUBLISHED_IMG_S: dict[tuple[Form, int], float] = {("native", 1024): 0.25, ("widened", 1024): 1.03}
"""On one A100, 28 steps (the paper's Table 3)."""
PUBLISHED_SPEEDUP = {1024: 4.12, 2048: 6.04}
PROMPTS = 2
"""Prompts an image: the caption, and the empty one of guidance."""


@dataclass(frozen=True)
class Work:
    """TFLOP of one image, by stage."""

    form: Form
    resolution_px: int
    tokens: int
    forwards: int
    text: float
    forward: float
    decode: float

    @property
    def denoise(self) -> float:
        """Of all forwards."""
        return self.forwards * self.forward

    @property
    def image(self) -> float:
        """Of all stages."""
        return self.text + self.denoise + self.decode


@lru_cache
def text_tflop() -> float:
    """TFLOP of encoding one image's prompts: the CLIP towers at 77 tokens, T5 at 256."""
    total = 0
    with torch.device("meta"), torch.no_grad():
        for encoder in architecture(PRESETS[PRESET]).text_encoders():
            length = 256 if "T5" in type(encoder).__name__ else 77
            ids = torch.zeros(PROMPTS, length, dtype=torch.long)
            total += count_flops(lambda encoder=encoder, ids=ids: encoder(ids))[0]  # type: ignore[misc]
    return total / 1e12


@lru_cache
def counted_at(px: int) -> Count:
    """The networks of the preset at a resolution, counted once."""
    return count(at(px))


def at(px: int) -> Experiment:
    """The preset at a resolution."""
    preset = PRESETS[PRESET]
    return replace(preset, data=replace(preset.data, resolution_px=px))


def work_of(form: Form, px: int) -> Work:
    """The work of SD3.5-Medium, as it is or with the DA-VAE, at `px`."""
    e, counted, native = at(px), counted_at(px), form == "native"
    return Work(
        form, px,
        tokens=tokens(e) * (e.data.scale**2 if native else 1),
        forwards=forwards(e),
        text=text_tflop(),
        forward=(counted.native_forward if native else counted.forward) / 1e12,
        decode=(counted.native_decode if native else counted.decode) / 1e12,
    )  # fmt: skip


@dataclass(frozen=True)
class Fit:
    """One MFU for all published throughputs of one GPU."""

    mfu: float
    errors: dict[tuple[Form, int], float]
    """Predicted over published, less 1."""


def fit_mfu(works: list[Work], published: dict[tuple[Form, int], float], gpu: str = "A100") -> Fit:
    """The MFU whose largest relative error is the smallest: the geometric mean of the extremes of
    those that each throughput needs by itself."""
    needed = {
        (w.form, w.resolution_px): published[w.form, w.resolution_px] * w.image / PEAK_TFLOPS[gpu]
        for w in works
        if (w.form, w.resolution_px) in published
    }
    mfu = math.sqrt(min(needed.values()) * max(needed.values()))
    return Fit(mfu, {case: mfu / share - 1 for case, share in needed.items()})


def predicted_img_s(work: Work, mfu: float, gpu: str) -> float:
    """Images a second at that share of the GPU's peak."""
    return PEAK_TFLOPS[gpu] * mfu / work.image


def unexplained_seconds(native: Work, widened: Work, mfu: float, speedup: float, gpu: str) -> float:
    """Seconds an image, the same for both, that bring the predicted speed-up down to `speedup`.

    (n + d) / (w + d) = speedup, with n and w the predicted seconds."""
    n, w = (1 / predicted_img_s(work, mfu, gpu) for work in (native, widened))
    return (n - speedup * w) / (speedup - 1)
