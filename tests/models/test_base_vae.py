"""The base VAE."""

import pytest
import torch

from davae.core.experiment import BaseVAEConfig
from davae.models.base_vae import build_base_vae, denormalise, normalise
from davae.models.davae import DAVAEConfig

SMALL = BaseVAEConfig(block_out_channels=(8, 8, 16), norm_num_groups=4)


@pytest.fixture
def base_vae():
    torch.manual_seed(0)
    vae = build_base_vae(SMALL).eval()
    vae.register_to_config(scaling_factor=0.5, shift_factor=0.25)
    return vae


def test_a_pretrained_base_is_loaded_and_described(tmp_path, base_vae):
    base_vae.save_pretrained(tmp_path / "vae")
    loaded = build_base_vae(BaseVAEConfig(pretrained=str(tmp_path / "vae")))
    weights = loaded.state_dict()
    assert all(torch.equal(weights[name], w) for name, w in base_vae.state_dict().items())
    config = DAVAEConfig.of_base(loaded, 4, antialias=True)
    assert (config.latent_channels, config.block_out_channels, config.scaling_factor) == (
        8,
        (8, 8, 16, 16),
        0.5,
    )


def test_a_base_without_a_shift_is_not_shifted(base_vae):
    base_vae.register_to_config(shift_factor=None)
    z = torch.randn(1, 4, 8, 8)
    assert torch.equal(normalise(z, base_vae.config), z * 0.5)
    torch.testing.assert_close(denormalise(normalise(z, base_vae.config), base_vae.config), z)
    assert DAVAEConfig.of_base(base_vae, 4).shift_factor == 0.0
