"""The DA-VAE."""

import inspect
from dataclasses import asdict, fields

import pytest
import torch

from davae.core.experiment import BaseVAEConfig
from davae.data.pixels import downsample
from davae.models.base_vae import build_base_vae, denormalise, encode_mode, normalise
from davae.models.davae import DAVAE, DAVAEConfig
from davae.models.davae_blocks import DownBlock, StructuredPosterior, UpBlock
from davae.models.dit import (
    DiT,
    DiTConfig,
)

SMALL = BaseVAEConfig(block_out_channels=(8, 8, 16), norm_num_groups=4)


@pytest.fixture
def base_vae():
    torch.manual_seed(0)
    vae = build_base_vae(SMALL).eval()
    vae.register_to_config(scaling_factor=0.5, shift_factor=0.25)
    return vae


@pytest.fixture
def davae(base_vae):
    torch.manual_seed(1)
    model = DAVAE(**asdict(DAVAEConfig.of_base(base_vae, 12))).eval()
    model.load_base(base_vae, init_detail=True)
    return model


@pytest.mark.parametrize(("model", "config"), [(DAVAE, DAVAEConfig), (DiT, DiTConfig)])
def test_config_is_the_constructor(model, config):
    parameters = list(inspect.signature(model.__init__).parameters.values())[1:]
    assert [(p.name, p.default) for p in parameters] == [
        (f.name, f.default) for f in fields(config)
    ]


def test_latent_is_base_then_detail_on_the_base_grid(davae, base_vae):
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    posterior = davae.encode(x).latent_dist
    assert posterior.mode().shape == (2, 16, 8, 8)
    expected = encode_mode(base_vae, downsample(x, 2, antialias=False))
    torch.testing.assert_close(posterior.mode()[:, :4], expected)
    assert davae.decode(posterior.mode()).sample.shape == x.shape
    assert (
        2 ** (len(davae.config.block_out_channels) - 1) == 8
    )  # what diffusers calls vae_scale_factor


def test_base_part_samples_nothing_and_detail_samples_its_gaussian():
    base = torch.randn(1, 4, 8, 8)
    posterior = StructuredPosterior(
        base,
        torch.full((1, 12, 8, 8), 3.0),
        torch.full((1, 12, 8, 8), 2 * torch.log(torch.tensor(0.5)).item()),
    )
    draws = torch.stack([posterior.sample(torch.Generator().manual_seed(i)) for i in range(200)])
    assert torch.equal(draws[:, :, :4], base.expand(200, 1, 4, 8, 8))
    assert draws[:, :, 4:].mean().item() == pytest.approx(3.0, abs=0.01)
    assert draws[:, :, 4:].std().item() == pytest.approx(0.5, abs=0.01)
    assert posterior.logvar.shape == (1, 16, 8, 8)
    assert torch.equal(posterior.mode(), posterior.mean)


def test_base_is_frozen_and_the_rest_trains(davae):
    trained = {name.split(".")[0] for name, p in davae.named_parameters() if p.requires_grad}
    assert trained == {"detail_encoder", "detail_down", "detail_up", "decoder"}


def test_detail_statistics_make_all_channels_alike_for_a_pipeline(davae):
    x = torch.rand(4, 3, 64, 64) * 2 - 1
    raw = davae.encode(x).latent_dist.mode()
    image = davae.decode(raw).sample
    detail = raw[:, 4:].transpose(0, 1).flatten(1)
    davae.set_detail_statistics(detail.mean(1), detail.std(1))
    posterior = davae.encode(x).latent_dist
    scaled = normalise(posterior.mode(), davae.config)[:, 4:].transpose(0, 1).flatten(1)
    torch.testing.assert_close(scaled.mean(1), torch.zeros(12), atol=1e-4, rtol=0)
    torch.testing.assert_close(scaled.std(1), torch.ones(12), atol=1e-4, rtol=0)
    torch.testing.assert_close(davae.decode(posterior.mode()).sample, image, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(denormalise(normalise(raw, davae.config), davae.config), raw)
    std_ratio = (posterior.logvar[:, 4:] / 2).exp() * davae.detail_std[:, None, None]
    torch.testing.assert_close(std_ratio, (davae.detail_moments(x)[1] / 2).exp())


def test_zeroed_detail_is_zero_at_the_decoder(davae):
    davae.set_detail_statistics(torch.arange(12.0), torch.full((12,), 2.0))
    z = torch.randn(2, 16, 8, 8)
    expected = davae.decode_raw(torch.cat([z[:, :4], torch.zeros(2, 12, 8, 8)], 1))
    torch.testing.assert_close(
        davae.decode(davae.zero_detail(z)).sample, expected, atol=1e-5, rtol=1e-4
    )
    with pytest.raises(ValueError, match="collapsed"):
        davae.set_detail_statistics(torch.zeros(12), torch.zeros(12))


def test_dropout_is_by_sample_and_rescaled(davae):
    dropped = davae.drop_detail(torch.ones(2, 12, 8, 8), torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(dropped[0], torch.full((12, 8, 8), 1 / 0.9))
    assert dropped[1].abs().max() == 0


def test_without_detail_there_is_a_decoder_only(base_vae):
    model = DAVAE(**asdict(DAVAEConfig.of_base(base_vae, 0)))
    model.load_base(base_vae, init_detail=True)
    latent = model.encode(torch.zeros(1, 3, 64, 64)).latent_dist.mode()
    assert latent.shape == (1, 4, 8, 8)
    assert model.decode(latent).sample.shape == (1, 3, 64, 64)
    assert not hasattr(model, "detail_encoder")


@pytest.mark.parametrize("scale", [2, 4])
def test_scales_and_saving(base_vae, tmp_path, scale):
    model = DAVAE(**asdict(DAVAEConfig.of_base(base_vae, 16, scale=scale))).eval()
    model.load_base(base_vae, init_detail=False)
    side = 8 * 4 * scale
    z = model.encode(torch.rand(1, 3, side, side)).latent_dist.mode()
    assert z.shape == (1, 20, 8, 8)
    model.save_pretrained(tmp_path / "m")
    again = DAVAE.from_pretrained(tmp_path / "m").eval()
    assert torch.equal(again.decode(z).sample, model.decode(z).sample)
    assert again.config.shift_factor == 0.25
    with pytest.raises(ValueError, match="multiples of"):
        model.encode(torch.rand(1, 3, side + 1, side))


def test_down_block_shortcut_averages_consecutive_channels():
    block = DownBlock(2, 4, 2)  # 8 unshuffled channels onto 4: pairs
    torch.nn.init.zeros_(block.conv.weight)
    torch.nn.init.zeros_(block.conv.bias)
    x = torch.arange(8.0).view(1, 2, 2, 2)
    assert block(x).flatten().tolist() == [0.5, 2.5, 4.5, 6.5]
    projected = DownBlock(3, 8, 2)  # 12 onto 8 does not divide: a zero 1x1 convolution
    assert projected.shortcut_proj.weight.abs().max() == 0
    assert projected.shortcut_proj.bias is None


def test_up_block_shortcut_repeats_and_shuffles():
    block = UpBlock(2, 1, 2)
    torch.nn.init.zeros_(block.conv.weight)
    torch.nn.init.zeros_(block.conv.bias)
    assert block(torch.tensor([5.0, 7.0]).view(1, 2, 1, 1)).flatten().tolist() == [5, 5, 7, 7]
    uneven = UpBlock(3, 2, 2)  # 8 = 3 + 3 + 2
    torch.nn.init.zeros_(uneven.conv.weight)
    torch.nn.init.zeros_(uneven.conv.bias)
    assert uneven(torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)).flatten().tolist() == [
        1,
        1,
        1,
        2,
        2,
        2,
        3,
        3,
    ]
    with pytest.raises(ValueError, match="cannot be grouped"):
        UpBlock(9, 2, 2)


def test_matching_weights_are_taken_over_and_others_named(base_vae):
    torch.manual_seed(1)
    twelve, eight = (DAVAE(**asdict(DAVAEConfig.of_base(base_vae, d))) for d in (12, 8))
    before = {k: v.clone() for k, v in eight.state_dict().items()}
    left = eight.load_matching(twelve)
    after, theirs = eight.state_dict(), twelve.state_dict()
    assert left
    assert all(theirs[k].shape != after[k].shape for k in left)
    assert all(torch.equal(after[k], before[k]) for k in left)
    assert all(torch.equal(after[k], theirs[k]) for k in after.keys() - set(left))
    assert not twelve.load_matching(twelve)
    afresh = DAVAE(**asdict(DAVAEConfig.of_base(base_vae, 12)))
    drawn = afresh.load_matching(twelve, fresh_detail=True)  # what reads or writes the detail
    assert drawn == [
        "detail_down.conv.bias", "detail_down.conv.weight", "detail_down.shortcut_proj.weight",
        "detail_mean", "detail_std", "detail_up.conv.weight",
    ]  # fmt: skip
