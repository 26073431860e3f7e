"""Perceptual distances of image pairs: LPIPS, and the offline one on EfficientNet-Lite0."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from tqdm import tqdm

from davae.data.mapped import blocks
from davae.data.pixels import to_unit
from davae.features.effnet import network
from davae.features.lpips import load_lpips

STAGES = (0, 2, 4, 10, 14)
"""Blocks of EfficientNet-Lite0 whose outputs are compared: at 1/2, 1/4, 1/8, 1/16 and 1/32."""
BATCH = 32


def in_batches(title: str, images: np.ndarray, references: np.ndarray) -> Iterable:
    """The pairs, BATCH at a time, with a progress bar."""
    pairs, count = blocks(images, references, size=BATCH), math.ceil(len(images) / BATCH)
    return tqdm(pairs, total=count, desc=title, unit="batch", delay=2, leave=False)


@torch.inference_mode()
def pd_effnet(images: np.ndarray, references: np.ndarray, device: str = "cpu") -> np.ndarray:
    """Perceptual distance of uint8 pairs [N, 3, H, W], sides of 32 px or more -> [N]; not LPIPS.

    The form of LPIPS without learned weights: features of each stage scaled to unit length over
    channels, their squared difference summed over channels, averaged over positions and stages.
    """
    net, distances = network(STAGES[-1] + 1, device), []
    for block in in_batches("pd_effnet", images, references):
        pair = (torch.from_numpy(x).float().to(device) for x in block)
        a, b = (net.maps(x.contiguous(memory_format=torch.channels_last)) for x in pair)
        stages = [
            (F.normalize(a[i], dim=1) - F.normalize(b[i], dim=1)).square().sum(1).mean((1, 2))
            for i in STAGES
        ]
        distances.append(torch.stack(stages).mean(0).cpu().numpy())
    return np.concatenate(distances)


@lru_cache(maxsize=1)
def _lpips(device: str) -> nn.Module:
    return load_lpips("alex").to(device)


@torch.inference_mode()
def lpips(images: np.ndarray, references: np.ndarray, device: str = "cpu") -> np.ndarray:
    """LPIPS v0.1 (Zhang et al. 2018) of uint8 pairs [N, 3, H, W] -> [N]; MissingWeights without the
    backbone.

    With AlexNet, so that the VGG network of the training loss is not the judge.
    """
    net, distances = _lpips(device), []
    for block in in_batches("LPIPS", images, references):
        pair = (to_unit(x).to(device) for x in block)
        distances.append(net(*pair).flatten().cpu().numpy())
    return np.concatenate(distances)
