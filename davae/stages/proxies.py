"""The stage that measures what may foretell generation without training a transformer."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from davae.core import keyed
from davae.core.records import Measurement, write_measurements
from davae.data.image_sets import ArrayImages
from davae.data.pixels import to_uint8
from davae.features.effnet import network
from davae.features.extract import extract
from davae.features.registry import open_extractor
from davae.metrics.proxies import global_semantics, local_change, spatial_structure
from davae.models.base_vae import denormalise
from davae.stages.artifacts import crops, images_hash, joined_latents, load_davae, load_vae
from davae.stages.stage import Work

COUNT = 390
"""Held-out crops that are looked at."""
JUDGE = "effnet_lite0:input_px=64,blocks=8"
GRID_BLOCKS = 5
"""Blocks after which the network's maps of 64 px images have 8 x 8 positions."""
DISTURBANCE = 0.1
"""Standard deviation of the noise on normalised latents."""
BATCH = 39


@torch.no_grad()
def make_proxies(work: Work) -> None:
    """Spatial structure, local continuity and global semantics of [z | z_d], held-out crops."""
    model, vae = load_davae(work), load_vae(work)
    latents = joined_latents(work, "heldout", "base_latents", "detail_latents")[:COUNT].numpy()
    images = crops(work.inputs["crops"], "heldout")[0][: len(latents)]
    noise = keyed.normal(0, "proxies/noise", 0, list(range(len(latents))), latents.shape[1:])

    def decoded(normalised: torch.Tensor) -> np.ndarray:
        parts = normalised.to(work.runtime.device).split(BATCH)
        pixels = [model.decode(denormalise(x, vae.config), return_dict=False)[0] for x in parts]
        return np.concatenate([to_uint8(x) for x in pixels])

    z = torch.from_numpy(latents)
    judge = open_extractor(JUDGE)
    features = {
        name: extract(judge, ArrayImages(name, part))
        for name, part in (
            ("held-out crops", images),
            ("decoded", decoded(z)),
            ("disturbed", decoded(z + DISTURBANCE * noise)),
        )
    }
    maps = position_features(images, latents.shape[2])
    figures: dict[str, tuple[float, Any]] = {
        "spatial_structure": (spatial_structure(latents, maps), True),
        "local_change": (local_change(features["decoded"], features["disturbed"]), False),
        "global_semantics": (global_semantics(latents, features["held-out crops"]), True),
    }
    protocol = f"held-out crops {images_hash(images)}; {judge.name} at 64 px, maps after "
    protocol += f"{GRID_BLOCKS} blocks"
    measured = [
        Measurement(name, value, len(images), higher_is_better=better, protocol=protocol)
        for name, (value, better) in figures.items()
    ]
    write_measurements(work.folder, {"davae": measured})


def position_features(images: np.ndarray, side: int) -> np.ndarray:
    """Features of uint8 images [N, 3, H, W] at every position of a grid, [N, c, side, side]."""
    maps = []
    for start in range(0, len(images), BATCH):
        batch = torch.from_numpy(images[start : start + BATCH]).float()
        maps.append(network(GRID_BLOCKS, "cpu").maps(batch)[-1])
    return F.adaptive_avg_pool2d(torch.cat(maps), side).numpy()
