"""ConvNeXt-S's class scores as a perceptual distance, with its downloaded ImageNet weights."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import ConvNeXt_Small_Weights, convnext_small

from davae.features.weights import MissingWeights

SIDE_PX = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's images in [0, 1]."""


def convnext_weights() -> Path:
    """The file of the weights; raises MissingWeights if it is not there."""
    url = ConvNeXt_Small_Weights.IMAGENET1K_V1.url
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
    if not path.exists():
        raise MissingWeights(path, url, "convnext_weight 0, as in the paper's text")
    return path


class ScoreDistance(nn.Module):
    """Mean squared difference of a classifier's scores of two images."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, classifier: nn.Module):
        super().__init__()
        self.classifier = classifier.eval().requires_grad_(False)
        for name, values in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(values)[:, None, None])

    def scores(self, images: torch.Tensor) -> torch.Tensor:
        """[B, 3, H, W] in [-1, 1] -> [B, classes]."""
        resized = F.interpolate(
            images, (SIDE_PX, SIDE_PX), mode="bilinear", align_corners=False, antialias=True
        )
        return self.classifier(((resized + 1) / 2 - self.mean) / self.std)

    def forward(self, reconstruction: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """[B, 3, H, W] in [-1, 1], twice -> [B]."""
        return (self.scores(reconstruction) - self.scores(images)).square().mean(1)


def load_convnext() -> ScoreDistance:
    """The distance with ImageNet's weights, frozen; raises MissingWeights without their file."""
    network = convnext_small()
    network.load_state_dict(torch.load(convnext_weights(), map_location="cpu", weights_only=True))
    return ScoreDistance(network)
