"""Small random models of diffusers' classes, widened and saved."""

from types import SimpleNamespace

import pytest
import torch
from diffusers import (
    DiTTransformer2DModel,
    SD3Transformer2DModel,
    UNet2DModel,
)
from safetensors.torch import save_file
from torch import nn

from davae.models.adapt import (
    Layout,
    Lora,
    adapt,
    add_lora,
    attach,
    layouts,
    load_adaptation,
    save_adaptation,
    widened_layers,
)
from davae.models.dit import DiT
from tests.models.adaptable import HEADS, MODELS, build, image_latent, pixart, randomise, run, sd3


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("detail", [4, 6])
def test_at_step_0_the_base_channels_are_the_pretrained_ones_bit_for_bit(name, detail):
    model, latent = build(name), image_latent(4)
    expected = run(model, latent)
    report = adapt(model, detail)
    for fill in (torch.zeros(2, detail, 8, 8), 50 * image_latent(detail, 3)):
        out = run(model, torch.cat([latent, fill], 1))
        assert out.shape == (2, 4 + detail, 8, 8)
        assert torch.equal(out[:, :4], expected)
        assert not out[:, 4:].any()
    assert len(report.names("new")) == 3
    assert len(report.names("copied")) == 4


@pytest.mark.parametrize("name", MODELS)
def test_channel_order_is_proved_by_permuting_detail_channels(name):
    """Moving detail channel i to place p(i), in the latent and in both new layers' rows, moves the
    output alike and changes nothing else. It holds only if each new row belongs to the channel and
    patch position it is meant for."""
    model, detail = build(name), 6
    adapt(model, detail)
    randomise(model)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    latent = torch.cat([image_latent(4), image_latent(detail, 3)], 1)
    before = run(model, latent)
    layout = layouts()[type(model).__name__]
    embed, head = model.get_submodule(layout.embed).detail, model.get_submodule(layout.head).detail

    def permuted(rows):  # [D p^2, ..] with the channel innermost, or outermost
        if layout.channel_outermost:
            return rows.unflatten(0, (detail, 4))[order].flatten(0, 1)
        return rows.unflatten(0, (4, detail))[:, order].flatten(0, 1)

    with torch.no_grad():
        head.weight.copy_(permuted(head.weight.clone()))
        head.bias.copy_(permuted(head.bias.clone()))
        if layout.channel_outermost:
            embed.weight.copy_(permuted(embed.weight.T.clone()).T)
        else:
            embed.weight.copy_(embed.weight[:, order].clone())
    moved = torch.cat([latent[:, :4], latent[:, 4:][:, order]], 1)
    after = run(model, moved)
    torch.testing.assert_close(after[:, :4], before[:, :4], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(after[:, 4:], before[:, 4:][:, order], rtol=1e-4, atol=1e-5)
    assert (after[:, 4:] - before[:, 4:]).abs().max() > 0.01


@pytest.mark.parametrize("name", MODELS)
def test_a_detail_output_sits_at_its_own_pixel(name):
    """A head that copies nothing but a bias b(channel, row, column in the patch) paints exactly
    that."""
    model, detail = build(name), 5
    adapt(model, detail)
    head = model.get_submodule(layouts()[type(model).__name__].head).detail
    wanted = torch.arange(detail * 4.0).view(detail, 2, 2)  # by channel, row, column
    outermost = layouts()[type(model).__name__].channel_outermost
    with torch.no_grad():
        head.bias.copy_((wanted if outermost else wanted.permute(1, 2, 0)).flatten())
    out = run(model, torch.cat([image_latent(4), image_latent(detail)], 1))
    torch.testing.assert_close(out[:, 4:], wanted.repeat(1, 4, 4).expand(2, -1, -1, -1))


@pytest.mark.parametrize("name", MODELS)
def test_saved_and_loaded_it_is_the_same(name, tmp_path):
    model, path = build(name), tmp_path / "adapted.safetensors"
    adapt(model, 4)
    randomise(model)
    save_adaptation(model, path)
    latent = image_latent(8)
    other = build(name)
    load_adaptation(other, path)
    assert torch.equal(run(other, latent), run(model, latent))
    assert other.config.in_channels == model.config.in_channels
    with pytest.raises(FileExistsError, match="exists already"):
        save_adaptation(model, path)
    with pytest.raises(ValueError, match="already"):
        load_adaptation(other, path)


def test_lora_and_widened_layers_in_one_file(tmp_path):
    pytest.importorskip("peft", reason="the extra sd3 is not installed")
    model, path, lora = build("sd3"), tmp_path / "adapted.safetensors", Lora(rank=3, alpha=6)
    adapt(model, 4)
    latent = image_latent(8)
    plain = run(model, latent)
    add_lora(model, lora)
    torch.testing.assert_close(run(model, latent), plain, rtol=1e-5, atol=1e-6)  # B is zero
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert all("lora_" in name or name in widened_layers(model) for name in trained)
    assert not any("context" in name for name in trained)
    # attention (3 of them, one dual) 4 layers, ff.net.2 and norm1.linear in each of 2 blocks; A and
    # B each
    assert sum("lora_" in name for name in trained) == 2 * (3 * 4 + 2 * 2)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.1)
    randomise(model)
    with pytest.raises(ValueError, match="has adapters and no `lora` was given"):
        save_adaptation(model, path)
    save_adaptation(model, path, lora)
    other = build("sd3")
    load_adaptation(other, path)
    assert torch.equal(run(other, latent), run(model, latent))
    assert not torch.equal(run(other, latent), plain)


@pytest.mark.parametrize("build_variance", [
    lambda: pixart(out_channels=8),
    lambda: DiTTransformer2DModel(
        in_channels=4, out_channels=8, sample_size=8, patch_size=2, num_embeds_ada_norm=10, **HEADS
    ),
])  # fmt: skip
def test_a_learned_variance_is_widened_beside_the_noise(build_variance):
    torch.manual_seed(0)
    model, latent, wide = build_variance().eval(), image_latent(4), image_latent(6, 3)
    nn.init.normal_(model.get_submodule(layouts()[type(model).__name__].head).weight, std=0.05)
    expected = run(model, latent)
    adapt(model, 6)
    out = run(model, torch.cat([latent, wide], 1))
    assert out.shape == (2, 20, 8, 8)  # [noise 4 + 6 | variance 4 + 6]
    assert torch.equal(torch.cat([out[:, :4], out[:, 10:14]], 1), expected)
    head = model.get_submodule(layouts()[type(model).__name__].head).detail
    wanted = torch.arange(48.0).view(2, 6, 2, 2)  # by group, channel, row, column
    with torch.no_grad():
        head.bias.copy_(wanted.permute(2, 3, 0, 1).flatten())
    out = run(model, torch.cat([latent, wide], 1)).unflatten(1, (2, 10))[:, :, 4:]
    torch.testing.assert_close(out, wanted.repeat(1, 1, 4, 4).expand(2, -1, -1, -1, -1))


class Stranger(SD3Transformer2DModel):
    """A class that has no layout by name."""


def test_another_class_is_widened_by_its_layers_names(tmp_path):
    torch.manual_seed(0)
    model, layout = (
        Stranger(**{k: v for k, v in sd3().config.items() if not k.startswith("_")}).eval(),
        Layout("pos_embed.proj", "proj_out"),
    )
    nn.init.normal_(model.proj_out.weight, std=0.05)
    pretrained = {name: value.clone() for name, value in model.state_dict().items()}
    expected = run(model, image_latent(4))
    with pytest.raises(ValueError, match=r"Stranger is not supported .* layout=Layout"):
        adapt(model, 4)
    adapt(model, 4, layout=layout)
    randomise(model)
    out = run(model, torch.cat([image_latent(4), torch.zeros(2, 4, 8, 8)], 1))
    torch.testing.assert_close(out[:, :4], expected)
    save_adaptation(model, tmp_path / "adapted.safetensors")
    other = Stranger(**{k: v for k, v in sd3().config.items() if not k.startswith("_")}).eval()
    other.load_state_dict(pretrained)
    load_adaptation(other, tmp_path / "adapted.safetensors", layout)
    assert torch.equal(run(other, image_latent(8)), run(model, image_latent(8)))


def test_an_adapted_lightningdit_is_saved_whole(tmp_path):
    model, latent = build("lightning"), image_latent(10)
    adapt(model, 6)
    randomise(model)
    model.save_pretrained(tmp_path / "whole")
    assert torch.equal(
        run(DiT.from_pretrained(tmp_path / "whole").eval(), latent), run(model, latent)
    )


def test_what_is_not_understood_is_refused(tmp_path):
    with pytest.raises(ValueError, match="UNet2DModel is not supported"):
        adapt(UNet2DModel(block_out_channels=(32, 32), down_block_types=("DownBlock2D",) * 2,
                          up_block_types=("UpBlock2D",) * 2), 4)  # fmt: skip
    odd = DiTTransformer2DModel(
        in_channels=4, out_channels=12, sample_size=8, num_embeds_ada_norm=10, **HEADS
    )
    with pytest.raises(ValueError, match="takes 4 channels and gives 12"):
        adapt(odd, 4)
    with pytest.raises(ValueError, match="has no layer 'stem'"):
        adapt(build("sd3"), 4, layout=Layout("stem", "proj_out"))
    with pytest.raises(ValueError, match="not widened"):
        save_adaptation(build("sd3"), tmp_path / "x.safetensors")
    model = build("sd3")
    adapt(model, 4)
    save_adaptation(model, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=r"DiTTransformer2DModel of 4 channels; .* adapts a SD3"):
        load_adaptation(build("dit"), tmp_path / "x.safetensors")


def test_a_file_of_something_else_is_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, str(tmp_path / "other.safetensors"))
    with pytest.raises(ValueError, match="there is no file"):
        attach(
            SimpleNamespace(transformer=build("sd3"), components={}), tmp_path / "none.safetensors"
        )
    with pytest.raises(ValueError, match="not written by"):
        attach(
            SimpleNamespace(transformer=build("sd3"), components={}), tmp_path / "other.safetensors"
        )
