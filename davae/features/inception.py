"""InceptionV3 as clean-fid runs it: the one extractor whose distances are called FID and KID."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from cleanfid.resize import build_resizer

from davae.core.hashing import file_hash
from davae.features.extract import Extractor, Host
from davae.features.weights import MissingWeights, require

Mode = Literal["clean", "legacy_tensorflow", "legacy_pytorch"]
INSTEAD = "the extractor effnet_lite0 (fd_effnet and kd_effnet, which are not FID and KID)"
TORCHSCRIPT = "inception-2015-12-05.pt"
TORCHSCRIPT_SOURCE = "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt"
PYTORCH = "pt_inception-2015-12-05-6726825d.pth"
PYTORCH_SOURCE = "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/" + PYTORCH
PUBLISHED_NAMES = {"fd": "fid", "kd": "kid", "fd_inf": "fid_inf"}
RESIZES = {
    "clean": "clean-fid PIL bicubic, float 299 px",
    "legacy_tensorflow": "TF1 bilinear inside the network 299 px",
    "legacy_pytorch": "clean-fid torch bilinear, not antialiased 299 px",
}


@lru_cache(maxsize=2)
def _torchscript(path: Path, resize_inside: bool, device: str) -> Any:
    from cleanfid.inception_torchscript import InceptionV3W

    return (
        InceptionV3W(str(path.parent), download=False, resize_inside=resize_inside)
        .to(device)
        .eval()
    )


@lru_cache(maxsize=1)
def _pytorch(device: str) -> torch.nn.Module:
    from cleanfid.inception_pytorch import InceptionV3

    return InceptionV3([3], resize_input=False).to(device).eval()


def hub_weights() -> Path:
    """Where torch.hub, and with it clean-fid, keeps the weights of `legacy_pytorch`."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / PYTORCH
    if not path.is_file():
        raise MissingWeights(path, PYTORCH_SOURCE, INSTEAD)
    return path


def inception(mode: str, host: Host) -> Extractor:
    """The 2048 pooled features under one of clean-fid's modes; raises MissingWeights without the
    file.

    Class probabilities, for the Inception Score, come from the TorchScript network without the bias
    of its last layer, as the score's authors had it.
    """
    if mode not in get_args(Mode):
        raise ValueError(
            f"the Inception mode is {mode!r}; it is one of {', '.join(get_args(Mode))}"
        )
    name = f"inception_{mode}"
    resizer = build_resizer(mode)

    def prepare(image: np.ndarray) -> np.ndarray:
        return resizer(image).astype(np.float32).transpose(2, 0, 1)

    if mode == "legacy_pytorch":
        weights = file_hash(hub_weights())
        net = _pytorch(host.device)

        def features(batch: torch.Tensor) -> torch.Tensor:
            return net(batch / 255)[0].flatten(1)

        return Extractor(
            name, weights, 2048, RESIZES[mode], prepare, features, published_names=PUBLISHED_NAMES
        )

    path = require(TORCHSCRIPT, TORCHSCRIPT_SOURCE, INSTEAD)
    script = _torchscript(path, mode == "legacy_tensorflow", host.device)

    def classify(batch: torch.Tensor) -> torch.Tensor:
        return script.base(batch, no_output_bias=True)

    return Extractor(
        name,
        file_hash(path),
        2048,
        RESIZES[mode],
        prepare,
        script,
        classify,
        published_names=PUBLISHED_NAMES,
    )
