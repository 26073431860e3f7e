"""InceptionV3 as clean-fid runs it."""

import numpy as np
import pytest
import torch

from davae.data.image_sets import ArrayImages
from davae.features.extract import Host, extract
from davae.features.inception import PYTORCH, TORCHSCRIPT, inception
from davae.features.weights import MissingWeights


def test_missing_inception_weights_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("DAVAE_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    for mode, name in (
        ("clean", TORCHSCRIPT),
        ("legacy_tensorflow", TORCHSCRIPT),
        ("legacy_pytorch", PYTORCH),
    ):
        with pytest.raises(MissingWeights, match=rf"{name}.*Get it from https.*effnet_lite0"):
            inception(mode, Host())
    with pytest.raises(ValueError, match="clean, legacy_tensorflow, legacy_pytorch"):
        inception("tensorflow", Host())


class FakeInception(torch.nn.Module):
    """The interface of the published TorchScript network, with closed-form outputs."""

    class Layers(torch.nn.Module):
        def forward(self, x):
            return x.mean((1, 2, 3))[:, None].repeat(1, 2048)

    def __init__(self):
        super().__init__()
        self.layers = FakeInception.Layers()

    def forward(self, x, return_features: bool = False, no_output_bias: bool = False):
        level = (x / 128 - 1).mean((1, 2, 3))[:, None]
        if return_features:
            return level.repeat(1, 2048)
        return torch.cat([level + 1, 1 - level], 1) / 2


def test_inception_modes_resize_and_scale_as_clean_fid_does(tmp_path, monkeypatch):
    monkeypatch.setenv("DAVAE_WEIGHTS", str(tmp_path))
    torch.jit.script(FakeInception()).save(str(tmp_path / TORCHSCRIPT))
    images = ArrayImages("x", np.stack([np.full((3, 20, 20), v, np.uint8) for v in (0, 192)]))
    for mode in ("clean", "legacy_tensorflow"):
        extractor = inception(mode, Host())
        features = extract(extractor, images)
        assert features.shape == (2, 2048)
        np.testing.assert_allclose(features[:, 0], [-1.0, 0.5], atol=1e-5)
        np.testing.assert_allclose(
            extract(extractor, images, probabilities=True), [[0, 1], [0.75, 0.25]], atol=1e-5
        )
    prepared = inception("clean", Host()).prepare(images.read(0))
    assert prepared.shape == (3, 299, 299)
    mixed = ArrayImages("x", images.array[:1]), np.zeros((20, 30, 3), np.uint8)
    assert inception("legacy_tensorflow", Host()).prepare(mixed[1]).shape == (3, 20, 30)
