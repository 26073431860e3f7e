"""LPIPS without its weights."""

import pytest
import torch

from davae.features.lpips import load_lpips


def test_missing_lpips_weights_are_an_error_that_helps(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(ValueError, match=r"vgg16-397923af\.pth.*pyramid_weight"):
        load_lpips()
