"""Judging images by the reference of the same name: PSNR, SSIM and perceptual distances."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from davae.features.effnet import weights_hash
from davae.features.images import FolderImages, Images, open_images
from davae.features.weights import file_hash
from davae.judge import Row, take
from davae.losses import lpips_weights
from davae.metrics import perceptual, reconstruction
from davae.metrics.estimate import mean_of
from davae.request import EvalRequest

CHUNK = 32


def check_paired(images: Images, reference: Images) -> None:
    """Raise ValueError unless the two sets hold the same names, or as many images where one is an array."""
    if isinstance(images, FolderImages) and isinstance(reference, FolderImages):
        a, b = ([Path(name).with_suffix("").as_posix() for name in x.names()] for x in (images, reference))
        if a != b:
            odd = sorted(set(a) ^ set(b))[:5]
            said = f"without a partner: {', '.join(odd)}" if odd else "one name occurs twice"
            raise ValueError(f"{', '.join(PAIR_METRICS)} compare files of one name; {said}")
    if len(images) != len(reference):
        counts = f"{len(images)} images and {len(reference)} references"
        raise ValueError(f"{', '.join(PAIR_METRICS)} compare pairs: {counts}")
    if not images.kind == reference.kind == "uint8" and "float, float" in (images.kind, reference.kind):
        raise ValueError(f"{', '.join(PAIR_METRICS)} are of uint8 images; choose the quantisation rounded or truncated")


def pairs(images: Images, reference: Images) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """uint8 [n, 3, H, W] pairs in chunks of one size, read as they are needed."""
    held: list[tuple[np.ndarray, np.ndarray]] = []
    for i, name in enumerate(images.names()):
        a, b = (x.read(i).transpose(2, 0, 1) for x in (images, reference))
        if a.shape != b.shape:
            sizes = f"{a.shape[2]}x{a.shape[1]} and {b.shape[2]}x{b.shape[1]}"
            raise ValueError(
                f"{', '.join(PAIR_METRICS)} compare images of one size; {name} and its reference are {sizes}"
            )
        if held and (len(held) == CHUNK or held[0][0].shape != a.shape):
            yield np.stack([p for p, _ in held]), np.stack([q for _, q in held])
            held = []
        held.append((a, b))
    yield np.stack([p for p, _ in held]), np.stack([q for _, q in held])


PAIR_METRICS = {
    "psnr": ("psnr_db", True, "data range 255, mean over images"),
    "ssim": ("ssim", True, "11x11 Gaussian, sigma 1.5, data range 255"),
    "lpips": ("lpips", False, "LPIPS 0.1, AlexNet"),
    "pd": ("pd_effnet", False, "EfficientNet-Lite0 stages"),
}
"""Name, whether higher is better, and protocol."""


def pair_metrics(device: str) -> dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]:
    """The functions of uint8 pairs [n, 3, H, W] -> [n]."""
    return {
        "psnr": reconstruction.psnr,
        "ssim": reconstruction.ssim,
        "lpips": partial(perceptual.lpips, device=device),
        "pd": partial(perceptual.pd_effnet, device=device),
    }


def judging_weights(metric: str) -> str:
    """The hash of the network that a metric of pairs has; empty for those without."""
    if metric == "lpips":
        return " " + file_hash(lpips_weights("alex"))
    return f" {weights_hash()}" if metric == "pd" else ""


def paired(request: EvalRequest, device: str) -> list[Row]:
    """PSNR, SSIM and perceptual distances of images with the references of the same name."""
    assert request.reference is not None
    sets = [open_images(path, request.quantisation) for path in (request.images, request.reference)]
    check_paired(*sets)
    images, reference = (take(x, request.samples, request.seed) for x in sets)
    wanted = {m: judging_weights(m) for m in PAIR_METRICS if m in request.metrics}
    functions = pair_metrics(device)
    found: dict[str, list[np.ndarray]] = {m: [] for m in wanted}
    with tqdm(total=len(images), desc=f"pairs of {images.name}", unit="img", delay=2, leave=False) as progress:
        for a, b in pairs(images, reference):
            for m in wanted:
                found[m].append(functions[m](a, b))
            progress.update(len(a))
    rows = []
    for m, weights in wanted.items():
        name, up, about = PAIR_METRICS[m]
        known = f"{about}{weights}; {images.kind}; reference {reference.digest}"
        rows.append(Row(name, mean_of(np.concatenate(found[m])), up, known))
    return rows
