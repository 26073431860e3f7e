"""Converting checkpoints: tensors are made here in the public naming, from a network of ours."""

import re
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import save_file

from davae.config import BaseVAEConfig
from davae.convert import ConvertOptions, convert
from davae.models.base_vae import build_base_vae
from davae.models.davae import DAVAE, DAVAEConfig
from davae.models.dit import DiT, DiTConfig, rotary_table, sincos_positions

# Written out independently of the converter's table: ours to LDM's.
LDM = [
    (r"^base_quant_conv", "base_quant_conv"),
    (r"^detail_encoder", "da.encoder"),
    (r"^decoder", "da.decoder"),
    (r"^detail_down", "da.da_down"),
    (r"^detail_up", "da.da_up"),
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0", "mid.attn_1"),
    (r"down_blocks\.(\d+)\.resnets", r"down.\1.block"),
    (r"down_blocks\.(\d+)\.attentions", r"down.\1.attn"),
    (r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample"),
    (r"conv_shortcut", "nin_shortcut"),
    (r"conv_norm_out", "norm_out"),
    (r"group_norm", "norm"),
    (r"to_out\.0", "proj_out"),
    (r"to_([qkv])\.", r"\1."),
]


def to_ldm(state, levels):
    out = {}
    for name, value in state.items():
        if name in ("detail_mean", "detail_std"):
            continue
        for pattern, replacement in LDM:
            name = re.sub(pattern, replacement, name)
        for ours, theirs in (("resnets", "block"), ("attentions", "attn"), ("upsamplers.0", "upsample")):
            name = re.sub(
                rf"up_blocks\.(\d+)\.{re.escape(ours)}", lambda m, t=theirs: f"up.{levels - 1 - int(m[1])}.{t}", name
            )
        conv = ".attn" in name and value.ndim == 2
        out[name] = value[:, :, None, None].contiguous() if conv else value.contiguous()
    return out


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
    tensors |= {"da.encoder.conv_out.weight": torch.zeros(16, 64, 3, 3), "da.decoder.conv_in.bias": torch.zeros(64)}
    assert "da.decoder.up.2.attn.1.q.weight" in tensors
    assert "base_encoder.down.2.block.0.nin_shortcut.weight" in tensors
    vectors = {"input.image": torch.zeros(1)} if prefix == "weights." else {}
    save_file({**{prefix + k: v for k, v in tensors.items()}, **vectors}, tmp_path / "a.safetensors")
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
    model = DiT(**asdict(DiTConfig(in_channels=8, hidden_size=96, depth=2, num_heads=4, qk_norm=False))).eval()
    for p in model.parameters():
        p.data.add_(0.05 * torch.randn_like(p))
    return model


@torch.no_grad()
def test_a_lightningdit_checkpoint_gives_the_same_network(dit, tmp_path):
    cos, sin = rotary_table(8, 24)
    tables = {"pos_embed": sincos_positions(8, 96)[None], "feat_rope.freqs_cos": cos, "feat_rope.freqs_sin": sin}
    content = {"ema": {**dit.state_dict(), **tables}, "model": {"x": torch.zeros(1)}, "args": {"lr": 1}}
    torch.save(content, tmp_path / "a.pt")
    assert "depth 2, width 96, 4 heads" in convert(ConvertOptions(tmp_path / "a.pt", tmp_path / "out"))
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
    state = {**dit.state_dict(), "pos_embed": sincos_positions(8, 96)[None], "extra.weight": torch.zeros(2)}
    del state["blocks.1.mlp.w3.bias"]
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"missing: \['blocks\.1\.mlp\.w3\.bias'\]; unexpected: \['extra\.weight'\]"):
        convert(ConvertOptions(tmp_path / "a.safetensors", tmp_path / "out", num_heads=4))
    assert not (tmp_path / "out").exists()


def test_a_position_table_of_another_kind_is_refused(dit, tmp_path):
    save_file({**dit.state_dict(), "pos_embed": torch.randn(1, 64, 96)}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"pos_embed .* is not the table"):
        convert(ConvertOptions(tmp_path / "a.safetensors", tmp_path / "out", num_heads=4))


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


def test_pickled_objects_are_never_executed(tmp_path, capsys):
    torch.save({"state_dict": Evil()}, tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match="holds pickled objects"):
        convert(ConvertOptions(tmp_path / "a.ckpt", tmp_path / "out"))
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize(("name", "message"), [("none.pt", "is not a file"), ("a.txt", "is not a .safetensors")])
def test_other_files_are_refused(tmp_path, name, message):
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(ValueError, match=message):
        convert(ConvertOptions(tmp_path / name, tmp_path / "out"))
    save_file({"a": torch.zeros(1)}, tmp_path / "b.safetensors")
    with pytest.raises(ValueError, match="neither a DA-VAE nor a LightningDiT"):
        convert(ConvertOptions(tmp_path / "b.safetensors", tmp_path / "out"))
