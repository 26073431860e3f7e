"""The discriminator of the adversarial term of Eq. 6."""

from __future__ import annotations

import torch
from torch import nn
from torch.func import functional_call


class PatchDiscriminator(nn.Module):
    """A PatchGAN of `layers` strided 4x4 convolutions (Isola et al. 2017): images -> logit map."""

    def __init__(self, width: int = 64, layers: int = 3):
        super().__init__()
        body: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for i in range(1, layers + 1):
            before, after = width * min(2 ** (i - 1), 8), width * min(2**i, 8)
            stride = 2 if i < layers else 1
            body += [
                nn.Conv2d(before, after, 4, stride, 1, bias=False),
                nn.BatchNorm2d(after),
                nn.LeakyReLU(0.2),
            ]
        self.body = nn.Sequential(*body, nn.Conv2d(width * min(2**layers, 8), 1, 4, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.body(images)

    def frozen(self, images: torch.Tensor) -> torch.Tensor:
        """Logits whose gradient reaches the images but not the discriminator."""
        weights = {name: p.detach() for name, p in self.named_parameters()}
        return functional_call(self, weights, (images,))
