"""METRICS: every metric by name. A new one is a file and a line here, or `register` from a file of
your own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from davae.core.hashing import file_hash
from davae.core.records import Measurement
from davae.features import effnet
from davae.features.lpips import lpips_weights
from davae.metrics import engraving, latents, perceptual, reconstruction, scene_content
from davae.metrics.clip_score import clip_score
from davae.metrics.coverage import NEIGHBOURS, coverage
from davae.metrics.distribution import (
    Moments,
    frechet,
    frechet_infinity,
    frechet_note,
    frechet_of_moments,
    kernel,
)
from davae.metrics.inception_score import inception_score
from davae.metrics.metric import (
    CaptionedImages,
    FeaturePair,
    LatentSample,
    Metric,
    Needs,
    SceneImages,
)


def references(pair: FeaturePair) -> np.ndarray:
    """The reference's features, which all metrics but fd compare with."""
    assert pair.reference is not None, (
        "the scorer refuses metrics that published moments do not suffice for"
    )
    return pair.reference


def fd(pair: FeaturePair) -> Measurement:
    """The Frechet distance, from moments alone where the reference is published ones."""
    if pair.reference is not None:
        return frechet(pair.images, pair.reference, pair.ddof)
    moments = Moments.of(pair.images, pair.ddof)
    count, dimensions = pair.images.shape
    notes = (frechet_note(count, dimensions, (moments,)), "N of the reference is not stated")
    value = frechet_of_moments(moments, pair.moments)
    return Measurement("fd", value, count, note="; ".join(note for note in notes if note))


def prdc(pair: FeaturePair) -> list[Measurement]:
    """Precision, recall, density and coverage."""
    figures = vars(coverage(pair.images, references(pair)))
    balls = f"balls of {NEIGHBOURS} neighbours"
    return [
        Measurement(name, value, len(pair.images), protocol=balls)
        for name, value in figures.items()
    ]


def clip(sample: CaptionedImages) -> list[Measurement]:
    """The CLIP score, and its control with shuffled captions, for which lower is better."""
    both = clip_score(sample.images, sample.captions, sample.texts, sample.seed)
    return [both.score, replace(both.shuffled, higher_is_better=False)]


def on_scenes(
    compute: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> Callable[[SceneImages], np.ndarray]:
    """A function of images and labels as a metric's."""
    return lambda scenes: compute(scenes.images, scenes.labels)


LINES = "2x2 Haar coefficients, lines from 0.4 of the drawn amplitude"
CONTENT = "2x2 block means, outline at 0.75 intersection over union"


def _latent(
    name: str,
    compute: latents.LatentMetric,
    higher_is_better: bool | None,
    summary: str,
    column: str = "",
) -> Metric:
    def measure(sample: LatentSample) -> Measurement:
        return Measurement(column or name, compute(sample), len(sample.held))

    return Metric(name, "latents", 2, higher_is_better, measure, summary, column=column)


METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric(
            "fd", "features", 2, False, fd, "Frechet distance (FID on InceptionV3)", of_moments=True
        ),
        Metric(
            "kd",
            "features",
            2,
            False,
            lambda p: kernel(p.images, references(p), p.paired),
            "kernel distance, unbiased over all pairs (KID on InceptionV3)",
        ),
        Metric(
            "fd_inf",
            "features",
            4,
            False,
            lambda p: frechet_infinity(p.images, references(p), p.seed),
            "FD extrapolated to infinitely many samples",
        ),
        Metric(
            "prdc", "features", NEIGHBOURS + 1, True, prdc, "precision, recall, density, coverage"
        ),
        Metric("is", "classes", 20, True, inception_score, "Inception Score, 10 splits"),
        Metric(
            "psnr",
            "pairs",
            1,
            True,
            lambda p: reconstruction.psnr(p.images, p.references),
            "PSNR in dB of pairs",
            "data range 255, mean over images",
            column="psnr_db",
        ),
        Metric(
            "ssim",
            "pairs",
            1,
            True,
            lambda p: reconstruction.ssim(p.images, p.references),
            "SSIM of pairs",
            "11x11 Gaussian, sigma 1.5, data range 255",
        ),
        Metric(
            "lpips",
            "pairs",
            1,
            False,
            lambda p: perceptual.lpips(p.images, p.references, p.device),
            "LPIPS of pairs (downloaded weights)",
            "LPIPS 0.1",
            network=lambda: f"alexnet {file_hash(lpips_weights('alex'))}",
        ),
        Metric(
            "pd",
            "pairs",
            1,
            False,
            lambda p: perceptual.pd_effnet(p.images, p.references, p.device),
            "perceptual distance of pairs on EfficientNet-Lite0, not LPIPS",
            "stages of EfficientNet-Lite0",
            network=lambda: f"effnet_lite0 {effnet.weights_hash()}",
            column="pd_effnet",
        ),
        Metric(
            "clip", "captions", 2, True, clip, "CLIP score, with the control of shuffled captions"
        ),
        *(
            Metric(name, "scenes", 1, True, on_scenes(compute), summary, protocol)
            for name, compute, summary, protocol in (
                (
                    "detail_accuracy",
                    engraving.detail_accuracy,
                    "share of scenes that show the engraving of their class",
                    LINES,
                ),
                (
                    "detail_amplitude",
                    engraving.detail_amplitude,
                    "of the lines of a scene's class, as a share of the drawn one",
                    LINES,
                ),
                (
                    "detail_purity",
                    engraving.detail_purity,
                    "share of line energy in the directions of a scene's class",
                    LINES,
                ),
                (
                    "content_accuracy",
                    scene_content.content_accuracy,
                    "share of scenes of their class's shape, in a scene's colour",
                    CONTENT,
                ),
            )
        ),
        _latent(
            "silhouette",
            latents.silhouette,
            True,
            "of the classes of held-out images, in [-1, 1]; 0: none",
        ),
        _latent(
            "knn_purity", latents.knn_purity, True, "accuracy of 10 nearest training neighbours"
        ),
        _latent(
            "latent_probe",
            latents.probe_accuracy,
            True,
            "accuracy of a linear probe of latents across the split",
            column="probe_accuracy",
        ),
        _latent(
            "cka", latents.cka_with_base, None, "linear centred kernel alignment with z, in [0, 1]"
        ),
        _latent(
            "effective_rank",
            latents.channel_rank,
            None,
            "of the channels' covariance, in [1, channels]",
        ),
    )
}


def register(metric: Metric) -> None:
    """Add a metric; raises ValueError for a name that is taken."""
    if metric.name in METRICS:
        raise ValueError(f"there is a metric {metric.name!r} already; give yours another name")
    METRICS[metric.name] = metric


def chosen(names: Iterable[str], *needs: Needs) -> list[Metric]:
    """Those of the named metrics that need one of `needs`; ValueError for an unknown name."""
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise ValueError(f"there is no metric {', '.join(unknown)}; metrics: {', '.join(METRICS)}")
    return [METRICS[name] for name in names if METRICS[name].needs in needs]
