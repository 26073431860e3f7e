"""Converting checkpoints: tensors are made here in the public naming, from a network of ours."""

import hashlib
import re
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import load_file, save_file

from davae.core.experiment import BaseVAEConfig
from davae.core.presets import PRESETS
from davae.models.base_vae import build_base_vae
from davae.models.checkpoints import keys
from davae.models.checkpoints.convert import convert
from davae.models.checkpoints.options import ConvertOptions
from davae.models.davae import DAVAE, DAVAEConfig
from davae.models.dit import DiT, DiTConfig
from davae.models.dit_blocks import rotary_table, sincos_positions
from davae.models.unweighted import davae_config
from tests.models.checkpoints.ldm import to_ldm

DAVAE_KEYS = "5c7c7a6b005b9dbb8195fd5a2d270a76f856589c8859820d12cd54e812e8257d"
LIGHTNING_KEYS = "0c06bcd39856f24993e351d9c566d0f73236590625a39bc8b5b44654762fe4bd"


@pytest.fixture
def davae():
    torch.manual_seed(0)
    config = DAVAEConfig.of_base(
        build_base_vae(BaseVAEConfig(block_out_channels=(32, 32, 64), latent_channels=8)), 24,
        level_attention=True, mid_attention=True,
    )  # fmt: skip
    model = DAVAE(**asdict(config)).eval()
    for p in model.parameters():
        p.data.add_(0.02 * torch.randn_like(p))
    return model


@torch.no_grad()
@pytest.mark.parametrize("prefix", ["", "module.", "weights."])
def test_a_davae_checkpoint_gives_the_same_network(davae, tmp_path, prefix):
    tensors = to_ldm(davae.state_dict(), 3)
    tensors |= {
        "da.encoder.conv_out.weight": torch.zeros(16, 64, 3, 3),
        "da.decoder.conv_in.bias": torch.zeros(64),
    }
    assert "da.decoder.up.2.attn.1.q.weight" in tensors
    assert "base_encoder.down.2.block.0.nin_shortcut.weight" in tensors
    vectors = {"input.image": torch.zeros(1)} if prefix == "weights." else {}
    save_file(
        {**{prefix + k: v for k, v in tensors.items()}, **vectors}, tmp_path / "a.safetensors"
    )
    text = convert(ConvertOptions(tmp_path / "a.safetensors", tmp_path / "out"))
    assert "8 base and 24 detail channels" in text
    assert "da.encoder.conv_out.weight" in text
    ours = DAVAE.from_pretrained(tmp_path / "out").eval()
    x = torch.rand(1, 3, 64, 64) * 2 - 1
    a, b = davae.encode(x).latent_dist, ours.encode(x).latent_dist
    assert torch.equal(a.mode(), b.mode())
    assert torch.equal(a.logvar, b.logvar)
    assert torch.equal(davae.decode(a.mode()).sample, ours.decode(a.mode()).sample)


@pytest.fixture
def dit():
    torch.manual_seed(0)
    model = DiT(
        **asdict(DiTConfig(in_channels=8, hidden_size=96, depth=2, num_heads=4, qk_norm=False))
    ).eval()
    for p in model.parameters():
        p.data.add_(0.05 * torch.randn_like(p))
    return model


@torch.no_grad()
def test_a_lightningdit_checkpoint_gives_the_same_network(dit, tmp_path):
    cos, sin = rotary_table(8, 24)
    tables = {
        "pos_embed": sincos_positions(8, 96)[None],
        "feat_rope.freqs_cos": cos,
        "feat_rope.freqs_sin": sin,
    }
    content = {
        "ema": {**dit.state_dict(), **tables},
        "model": {"x": torch.zeros(1)},
        "args": {"lr": 1},
    }
    torch.save(content, tmp_path / "a.pt")
    assert "depth 2, width 96, 4 heads" in convert(
        ConvertOptions(tmp_path / "a.pt", tmp_path / "out")
    )
    ours = DiT.from_pretrained(tmp_path / "out").eval()
    x, t, y = torch.randn(2, 8, 8, 8), torch.rand(2), torch.tensor([1, 10])
    assert torch.equal(ours(x, t, y), dit(x, t, y))
    assert ours.config.qk_norm is False


def test_what_a_file_does_not_show_is_an_option(dit, tmp_path):
    bare = {**dit.state_dict(), "pos_embed": sincos_positions(8, 96)[None]}
    save_file(bare, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="give --num-heads"):
        convert(ConvertOptions(tmp_path / "a.safetensors", tmp_path / "out"))
    convert(ConvertOptions(tmp_path / "a.safetensors", tmp_path / "out", num_heads=4))
    with pytest.raises(ValueError, match="exists already"):
        convert(ConvertOptions(tmp_path / "a.safetensors", tmp_path / "out", num_heads=4))


def test_missing_and_unexpected_keys_are_listed(dit, tmp_path):
    state = {
        **dit.state_dict(),
        "pos_embed": sincos_positions(8, 96)[None],
        "extra.weight": torch.zeros(2),
    }
    del state["blocks.1.mlp.w3.bias"]
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(
        ValueError,
        match=r"missing: \['blocks\.1\.mlp\.w3\.bias'\]; unexpected: \['extra\.weight'\]",
    ):
        convert(ConvertOptions(tmp_path / "a.safetensors", tmp_path / "out", num_heads=4))
    assert not (tmp_path / "out").exists()


def test_a_position_table_of_another_kind_is_refused(dit, tmp_path):
    save_file({**dit.state_dict(), "pos_embed": torch.randn(1, 64, 96)}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"pos_embed .* is not the table"):
        convert(ConvertOptions(tmp_path / "a.safetensors", tmp_path / "out", num_heads=4))


def older(name):
    """A key of the older release."""
    return (
        name.replace("da.da_down", "dc.dc_down")
        .replace("da.da_up", "dc.dc_up")
        .replace("da.", "dc.", 1)
    )


@torch.no_grad()
@pytest.mark.parametrize("module", ["", "module."])
def test_an_older_lightning_checkpoint_gives_the_same_network(davae, tmp_path, module):
    tensors = {
        module + (older(k) if k.startswith("da.") else k): v
        for k, v in to_ldm(davae.state_dict(), 3).items()
    }
    assert f"{module}dc.dc_up.conv.weight" in tensors
    assert f"{module}dc.encoder.conv_in.weight" in tensors
    tensors |= {
        f"{module}loss.discriminator.weight": torch.zeros(2),
        f"{module}loss.logvar": torch.zeros(()),
    }
    torch.save({"state_dict": tensors, "epoch": 3}, tmp_path / "a.ckpt")
    assert "2 tensors of loss.*" in convert(ConvertOptions(tmp_path / "a.ckpt", tmp_path / "out"))
    ours = DAVAE.from_pretrained(tmp_path / "out").eval()
    x = torch.rand(1, 3, 64, 64) * 2 - 1
    assert torch.equal(davae.encode(x).latent_dist.mode(), ours.encode(x).latent_dist.mode())


@torch.no_grad()
def test_diffusers_names_are_understood_too(davae, tmp_path):
    tensors = {}
    for name, value in davae.state_dict().items():
        for theirs, ours in (("da.encoder", "detail_encoder"), ("da.decoder", "decoder"),
                             ("da.da_down", "detail_down"), ("da.da_up", "detail_up")):  # fmt: skip
            name = re.sub(rf"^{ours}\.", f"{theirs}.", name)
        if name not in ("detail_mean", "detail_std"):
            tensors[name] = value.contiguous()
    save_file(tensors, tmp_path / "a.safetensors")
    convert(ConvertOptions(tmp_path / "a.safetensors", tmp_path / "out"))
    ours = DAVAE.from_pretrained(tmp_path / "out").eval()
    z = torch.randn(1, 32, 8, 8)
    assert torch.equal(davae.decode(z).sample, ours.decode(z).sample)


@torch.no_grad()
def test_a_reversed_channel_order_gives_the_same_image_of_the_reordered_latent(davae, tmp_path):
    """The file's network takes [detail | base]; what comes out of its up block is computed here by
    hand."""
    tensors = to_ldm(davae.state_dict(), 3)
    save_file(tensors, tmp_path / "a.safetensors")
    options = ConvertOptions(
        tmp_path / "a.safetensors", tmp_path / "out", channel_order="detail_first", clamp_base=True
    )
    convert(options)
    ours = DAVAE.from_pretrained(tmp_path / "out").eval()
    assert ours.config.clamp_base
    base, detail = torch.randn(1, 8, 8, 8), torch.randn(1, 24, 8, 8)
    theirs = torch.cat([detail, base], 1)
    weight, bias = tensors["da.da_up.conv.weight"], tensors["da.da_up.conv.bias"]
    full = torch.conv2d(theirs, weight, bias, padding=1) + theirs.repeat_interleave(
        8, 1
    )  # 64 * 4 / 32
    image = davae.decoder(torch.pixel_shuffle(full, 2))
    torch.testing.assert_close(
        ours.decode(torch.cat([base, detail], 1)).sample, image, rtol=1e-4, atol=1e-5
    )
    assert not torch.allclose(ours.decode(theirs).sample, image, atol=1e-2)
    convert(ConvertOptions(tmp_path / "out", tmp_path / "back.safetensors"))
    assert torch.equal(load_file(tmp_path / "back.safetensors")["da.da_up.conv.weight"], weight)
    convert(ConvertOptions(tmp_path / "back.safetensors", tmp_path / "again"))
    again = DAVAE.from_pretrained(tmp_path / "again").eval()
    assert torch.equal(again.decode(theirs).sample, ours.decode(theirs).sample)


@torch.no_grad()
def test_a_davae_goes_out_and_comes_back(davae, tmp_path):
    davae.set_detail_statistics(torch.randn(24), torch.rand(24) + 0.5)
    davae.save_pretrained(tmp_path / "ours")
    assert "AutoencoderKL" not in convert(
        ConvertOptions(tmp_path / "ours", tmp_path / "public.safetensors")
    )
    public = load_file(tmp_path / "public.safetensors")
    expected = to_ldm(davae.state_dict(), 3)
    bypassed = {
        f"da.{part}.{leaf}"
        for part in ("encoder.conv_out", "decoder.conv_in")
        for leaf in ("weight", "bias")
    }
    assert set(public) == set(expected) | bypassed
    assert all(torch.equal(public[name], value) for name, value in expected.items())
    convert(ConvertOptions(tmp_path / "public.safetensors", tmp_path / "back"))
    back = DAVAE.from_pretrained(tmp_path / "back").eval()
    ours = DAVAE.from_pretrained(tmp_path / "ours")
    assert all(back.config[name] == ours.config[name] for name in DAVAEConfig.__dataclass_fields__)
    assert all(
        torch.equal(back.state_dict()[name], value) for name, value in davae.state_dict().items()
    )


def test_the_full_size_names_and_shapes_are_the_released_ones():
    """By a digest of the released key lists: 489 keys of the f32c128 DA-VAE, 159 of
    LightningDiT-B/1."""
    config = davae_config(PRESETS["imagenet512"])
    dit_config = DiTConfig(
        in_channels=32,
        input_size=16,
        hidden_size=768,
        depth=12,
        num_heads=12,
        num_classes=1000,
        qk_norm=False,
    )
    with torch.device("meta"):
        autoencoder = keys.davae_to_public(DAVAE(**asdict(config)).state_dict(), config)
        transformer = keys.dit_to_public(DiT(**asdict(dit_config)).state_dict(), dit_config)
    for tensors, count, digest in (
        (autoencoder, 489, DAVAE_KEYS),
        (transformer, 159, LIGHTNING_KEYS),
    ):
        lines = sorted(f"{name}\t{tuple(tensor.shape)}" for name, tensor in tensors.items())
        assert len(lines) == count
        assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == digest


@torch.no_grad()
@pytest.mark.parametrize("detail", [0, 3])
def test_a_dit_goes_out_and_comes_back(tmp_path, detail):
    config = DiTConfig(
        in_channels=8, patch_size=2, detail_channels=detail, hidden_size=96, depth=2, num_heads=4
    )
    torch.manual_seed(0)
    model = DiT(**asdict(config)).eval()
    for p in model.parameters():
        p.data.add_(0.05 * torch.randn_like(p))
    model.save_pretrained(tmp_path / "ours")
    convert(ConvertOptions(tmp_path / "ours", tmp_path / "public.safetensors"))
    x, t, y = torch.randn(2, 8, 8, 8), torch.rand(2), torch.tensor([1, 10])
    for name, options in (("back", {}), ("given", {"detail_channels": detail})):
        convert(ConvertOptions(tmp_path / "public.safetensors", tmp_path / name, **options))
        back = DiT.from_pretrained(tmp_path / name).eval()
        assert back.config.detail_channels == detail
        assert torch.equal(back(x, t, y), model(x, t, y))
    # without the metadata it is one plain network of 8 channels with the same function
    save_file(load_file(tmp_path / "public.safetensors"), tmp_path / "plain.safetensors")
    convert(ConvertOptions(tmp_path / "plain.safetensors", tmp_path / "plain"))
    plain = DiT.from_pretrained(tmp_path / "plain").eval()
    assert plain.config.detail_channels == 0
    torch.testing.assert_close(plain(x, t, y), model(x, t, y), rtol=1e-5, atol=1e-5)


def test_groups_that_do_not_divide_the_widths_are_an_error(davae, tmp_path):
    save_file(to_ldm(davae.state_dict(), 3), tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"--norm-num-groups is 24, .* \[32, 32, 64\]"):
        convert(ConvertOptions(tmp_path / "a.safetensors", tmp_path / "out", norm_num_groups=24))


@pytest.mark.parametrize(
    "gone",
    [
        "base_encoder.conv_out.weight",
        "base_encoder.down.1.block.0.conv2.weight",
        "da.decoder.norm_out.bias",
        "da.da_down.conv.weight",
    ],
)
def test_every_missing_key_is_an_error_that_names_it(davae, tmp_path, gone):
    tensors = to_ldm(davae.state_dict(), 3)
    del tensors[gone]
    save_file(tensors, tmp_path / "a.safetensors")
    listed = gone.replace("da.da_down", "detail_down").replace(
        "da.decoder.norm_out", "decoder.conv_norm_out"
    )
    with pytest.raises(ValueError, match=re.escape(listed)):
        convert(ConvertOptions(tmp_path / "a.safetensors", tmp_path / "out"))


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


def test_pickled_objects_are_never_executed(tmp_path, capsys):
    torch.save({"state_dict": Evil()}, tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match="holds pickled objects"):
        convert(ConvertOptions(tmp_path / "a.ckpt", tmp_path / "out"))
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "message"), [("none.pt", "is not a file"), ("a.txt", "is not a .safetensors")]
)
def test_other_files_are_refused(tmp_path, name, message):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(ValueError, match=message):
        convert(ConvertOptions(tmp_path / name, tmp_path / "out"))
    save_file({"a": torch.zeros(1)}, tmp_path / "b.safetensors")
    with pytest.raises(ValueError, match="neither a DA-VAE nor a LightningDiT"):
        convert(ConvertOptions(tmp_path / "b.safetensors", tmp_path / "out"))
