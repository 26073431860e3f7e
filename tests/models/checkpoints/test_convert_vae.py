"""Converting base autoencoders: tensors are made here in the public naming."""

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file

from davae.models.checkpoints.convert import convert
from davae.models.checkpoints.options import ConvertOptions
from davae.models.davae import DAVAEConfig
from tests.models.checkpoints.ldm import to_ldm


@pytest.fixture
def vae():
    torch.manual_seed(0)
    model = AutoencoderKL(
        block_out_channels=(32, 32, 64), latent_channels=8, layers_per_block=2,
        down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
        up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"),
    ).eval()  # fmt: skip
    for p in model.parameters():
        p.data.add_(0.02 * torch.randn_like(p))
    return model


def vae_to_ldm(vae):
    return {name.removeprefix("da."): value for name, value in to_ldm(vae.state_dict(), 3).items()}


@torch.no_grad()
def test_a_va_vae_gives_the_same_network_and_its_statistics_are_folded_in(vae, tmp_path):
    tensors = vae_to_ldm(vae)
    assert "encoder.down.2.attn.1.q.weight" in tensors
    assert "decoder.up.2.attn.2.proj_out.bias" in tensors
    extra = {
        "foundation_model.a": torch.zeros(1),
        "linear_proj.weight": torch.zeros(1),
        "loss.b": torch.zeros(1),
    }
    torch.save({"state_dict": {**tensors, **extra}}, tmp_path / "a.ckpt")
    text = convert(ConvertOptions(tmp_path / "a.ckpt", tmp_path / "plain"))
    assert "foundation_model.*" in text
    assert "autoencoder of 8 channels, factor 4" in text
    plain = AutoencoderKL.from_pretrained(tmp_path / "plain").eval()
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    before, after = vae.encode(x).latent_dist, plain.encode(x).latent_dist
    assert torch.equal(before.mean, after.mean)
    assert torch.equal(vae.decode(before.mean).sample, plain.decode(before.mean).sample)

    mean, std = torch.randn(8), torch.rand(8) + 0.5
    torch.save({"mean": mean.view(1, 8, 1, 1), "std": std.view(1, 8, 1, 1)}, tmp_path / "stats.pt")
    convert(
        ConvertOptions(tmp_path / "a.ckpt", tmp_path / "folded", latent_stats=tmp_path / "stats.pt")
    )
    folded = AutoencoderKL.from_pretrained(tmp_path / "folded").eval()
    m, s = mean.view(1, 8, 1, 1), std.view(1, 8, 1, 1)
    latent = folded.encode(x).latent_dist
    torch.testing.assert_close(latent.mean, (before.mean - m) / s, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(latent.std, before.std / s, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        folded.decode(latent.mean).sample, vae.decode(before.mean).sample, rtol=1e-3, atol=1e-4
    )
    assert DAVAEConfig.of_base(folded, 8).level_attention  # what a DA-VAE over it is built from


@torch.no_grad()
def test_an_autoencoder_goes_out_and_comes_back(vae, tmp_path):
    vae.register_to_config(scaling_factor=1.5, shift_factor=0.1)
    vae.save_pretrained(tmp_path / "ours")
    convert(ConvertOptions(tmp_path / "ours", tmp_path / "public.safetensors"))
    public, expected = load_file(tmp_path / "public.safetensors"), vae_to_ldm(vae)
    assert set(public) == set(expected)
    convert(ConvertOptions(tmp_path / "public.safetensors", tmp_path / "back"))
    back = AutoencoderKL.from_pretrained(tmp_path / "back")
    assert (back.config.scaling_factor, back.config.shift_factor) == (1.5, 0.1)
    assert all(
        torch.equal(back.state_dict()[name], value) for name, value in vae.state_dict().items()
    )
