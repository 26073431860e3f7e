"""Reconstruction, adversarial and weighting terms of the VAE loss (Eq. 6)."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from davae.features.weights import MissingWeights


def kl_mean(mean: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
    """mean(mu^2 + sigma^2 - 1 - log sigma^2) over all elements: twice the KL an element."""
    return (mean.square() + logvar.exp() - 1 - logvar).mean()


def laplacian_pyramid(images: torch.Tensor, levels: int) -> list[torch.Tensor]:
    """`levels` band-pass images and the low-pass rest; their enlarged sum is the image again."""
    bands = []
    for _ in range(levels):
        small = F.avg_pool2d(images, 2)
        bands.append(images - F.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False))
        images = small
    return [*bands, images]


def pyramid_l1(prediction: torch.Tensor, target: torch.Tensor, levels: int = 3) -> torch.Tensor:
    """Mean over the bands of the mean absolute error, so that sparse fine detail counts fully."""
    bands = laplacian_pyramid(prediction - target, levels)
    return torch.stack([band.abs().mean() for band in bands]).mean()


def gradient_ratio(
    nll: torch.Tensor, term: torch.Tensor, weight: torch.Tensor, *, upper: float, at: torch.Tensor | None = None
) -> torch.Tensor:
    """|grad nll| / (|grad term| + 1e-4), detached and clamped to [0, upper].

    Both gradients are taken at the parameter `weight` of the layer before the output (Esser et
    al. 2021); `at` is another parameter for `term` where the two layers differ.
    """
    ours = torch.autograd.grad(nll, weight, retain_graph=True)[0]
    theirs = torch.autograd.grad(term, weight if at is None else at, retain_graph=True)[0]
    return (ours.norm() / (theirs.norm() + 1e-4)).clamp(0.0, upper).detach()


class PatchDiscriminator(nn.Module):
    """A PatchGAN of `layers` strided 4x4 convolutions (Isola et al. 2017): images -> logit map."""

    def __init__(self, width: int = 64, layers: int = 3):
        super().__init__()
        body: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for i in range(1, layers + 1):
            before, after = width * min(2 ** (i - 1), 8), width * min(2**i, 8)
            stride = 2 if i < layers else 1
            body += [nn.Conv2d(before, after, 4, stride, 1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*body, nn.Conv2d(width * min(2**layers, 8), 1, 4, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.body(images)

    def frozen(self, images: torch.Tensor) -> torch.Tensor:
        """Logits whose gradient reaches the images but not the discriminator."""
        weights = {name: p.detach() for name, p in self.named_parameters()}
        return functional_call(self, weights, (images,))


def hinge_loss(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """The discriminator's hinge loss: (mean relu(1 - real) + mean relu(1 + fake)) / 2."""
    return (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2


def lpips_weights(net: str) -> Path:
    """The file of LPIPS's backbone, vgg or alex; raises MissingWeights if it is not there."""
    import torchvision.models as models

    weights = {"vgg": models.VGG16_Weights, "alex": models.AlexNet_Weights}[net].IMAGENET1K_V1
    path = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rsplit("/", 1)[-1]
    if not path.exists():
        raise MissingWeights(path, weights.url, "pyramid_weight in training and pd_effnet in judging")
    return path


def load_lpips(net: str = "vgg") -> nn.Module:
    """LPIPS with its ImageNet backbone, in [-1, 1], frozen.

    Raises MissingWeights if the backbone's downloaded weights are missing; random ones are never used.
    """
    import lpips

    lpips_weights(net)
    return lpips.LPIPS(net=net, verbose=False).eval().requires_grad_(False)
