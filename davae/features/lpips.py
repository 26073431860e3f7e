"""LPIPS with its downloaded ImageNet backbones: VGG in training, AlexNet in judging."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from davae.features.weights import MissingWeights


def lpips_weights(net: str) -> Path:
    """The file of LPIPS's backbone, vgg or alex; raises MissingWeights if it is not there."""
    import torchvision.models as models

    weights = {"vgg": models.VGG16_Weights, "alex": models.AlexNet_Weights}[net].IMAGENET1K_V1
    path = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rsplit("/", 1)[-1]
    if not path.exists():
        raise MissingWeights(
            path, weights.url, "pyramid_weight in training and pd_effnet in judging"
        )
    return path


def load_lpips(net: str = "vgg") -> nn.Module:
    """LPIPS with its ImageNet backbone, in [-1, 1], frozen.

    Raises MissingWeights if the backbone's downloaded weights are missing; random ones are never
    used."""
    import lpips

    lpips_weights(net)
    return lpips.LPIPS(net=net, verbose=False).eval().requires_grad_(False)
