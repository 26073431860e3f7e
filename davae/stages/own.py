"""How far samples are from what their own decoder makes of real crops: the decoder's errors are on
both sides, so that what is left is the generator's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from davae.core.experiment import EvalConfig
from davae.core.records import write_measurements
from davae.features.extract import Host
from davae.features.registry import open_extractor
from davae.stages.artifacts import crops, images_hash, latent_set
from davae.stages.judging import (
    distances,
    features_of,
    judges_of,
    pixel_measurements,
    scene_measurements,
)
from davae.stages.samples import LATENTS
from davae.stages.stage import Work

PARTS = ("base_latents", "detail_latents", "native_latents")
"""Inputs that make a latent, by channel in this order."""


@torch.no_grad()
def make_own_latents(work: Work, count: int = 0) -> None:
    """The latents of held-out crops, of the first `count` if it is given, as a sampling stage
    leaves them: latents.npy, normalised, and labels.npy."""
    real = latent_set(work, "heldout", *(role for role in PARTS if role in work.inputs))
    real = real.first(count) if count else real
    np.save(work.folder / LATENTS, real.latents[:].numpy())
    np.save(work.folder / "labels.npy", real.conditions.numpy())


def make_own_distance(work: Work, metrics: EvalConfig, arm: str) -> None:
    """okd_*: the kernel distance of the samples to the held-out crops as the same decoder
    reconstructs them, of as many as both have; and what those reconstructions reach, which no
    sample of this decoder can be asked to surpass: own_METRIC for every metric of pixels (against
    the crops) and of scenes. The reference is named by the crops, which arms of several decoders
    share: each is judged by its own."""
    images, own = (np.load(work.inputs[role] / "images.npy") for role in ("samples", "own"))
    count = min(len(images), len(own))
    images, own = images[:count], own[:count]
    real, labels = crops(work.inputs["crops"], "heldout", count)
    said, device = f"held-out crops by the same decoder {images_hash(real)}", work.runtime.device
    measured = []
    for spec in judges_of(metrics):
        extractor = open_extractor(spec, Host(device))
        features, reference = (features_of(x, spec, device) for x in (images, own))
        measured += distances(("kd",), extractor, features, reference, said, "o")
    reached = pixel_measurements(own, real, metrics, device)
    reached += scene_measurements(own, labels, metrics)
    measured += [replace(one, metric=f"own_{one.metric}") for one in reached]
    write_measurements(work.folder, {arm: measured})
