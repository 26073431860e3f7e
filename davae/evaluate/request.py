"""What `davae eval` is asked for, apart from what computes it, so that its help needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

Quantisation = Literal["rounded", "truncated", "float"]
"""As `davae.data.pixels.Quantisation`, which this module does not import: it brings torch along."""
SETTINGS: dict[str, dict[str, Any]] = {
    "fid10k": {"metrics": ("fd",), "extractor": "inception_legacy_tensorflow", "samples": 10_000},
    "fid50k": {
        "metrics": ("fd", "is"),
        "extractor": "inception_legacy_tensorflow",
        "samples": 50_000,
    },
    "mjhq30k": {
        "metrics": ("fd", "clip"),
        "extractor": "inception_clean",
        "clip_model": "ViT-L-14/openai",
        "samples": 30_000,
    },
}
"""What the paper's figures are measured by: FID-10k and FID-50k against ADM's statistics of
ImageNet, and MJHQ-30K with clean-fid. The paper does not name its CLIP model; ViT-L/14 is ours."""


@dataclass(frozen=True)
class EvalRequest:
    """What `davae eval` computes."""

    images: tyro.conf.Positional[Path]
    """A folder of images, or a .npy or .npz file of an array: uint8, or float in [-1, 1]."""
    reference: Path | None = None
    """Images to compare with, or an .npz file of statistics (mu and sigma, as ADM's)."""
    reference_extractor: str = "inception_legacy_tensorflow"
    """What an .npz file of statistics was made with, which it does not say itself: ADM's references
    with inception_legacy_tensorflow, clean-fid's with inception_clean. It must be the --extractor.
    """
    captions: Path | None = None
    """For clip: a .csv, .tsv or .jsonl file with the columns file and caption."""
    metrics: tuple[str, ...] = ("fd", "kd")
    """fd, kd: Frechet and kernel distance; fd_inf: FD extrapolated to infinitely many samples; is:
    Inception Score; prdc: precision, recall, density, coverage; psnr, ssim, lpips, pd: of pairs
    with one file name; clip: CLIP score, with the control of shuffled captions; detail_accuracy,
    detail_amplitude, detail_purity, content_accuracy: of drawn scenes, in folders named by their
    classes; or one that --extend adds."""
    extractor: str = "effnet_lite0"
    """Whose features the distances are on: effnet_lite0, inception_clean,
    inception_legacy_tensorflow, inception_legacy_pytorch, clip, or one that --extend adds. Only
    with inception_* are they FID and KID. Options follow a colon:
    effnet_lite0:input_px=224,blocks=15 (the defaults: 224 px, 192 features; 11 blocks give 112, 8
    give 80), clip:model=MODEL/TAG."""
    clip_model: str = "clip_tiny"
    """For the metric clip: clip_tiny (trained here on captioned scenes), MODEL/TAG of open_clip, or
    a folder of its format."""
    samples: int = 0
    """Take so many of the images and of the reference, chosen by seed; 0: all."""
    quantisation: Quantisation = "rounded"
    """What becomes of float images: rounded or truncated to uint8, or left as they are."""
    protocols: Literal["one", "all"] = "one"
    """all: the distances under every available protocol as well, with their differences."""
    seed: int = 0
