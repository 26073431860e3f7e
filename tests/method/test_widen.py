from dataclasses import asdict

import pytest
import torch
from torch import nn

from davae.method.widen import join_packed, split_packed, widen
from davae.models.adapt import adapt
from davae.models.dit import DiT, DiTConfig


class Net(nn.Module):
    """A patch embedder and a head around an activation, on images or on packed patches."""

    def __init__(self, channels, patch, width, linear):
        super().__init__()
        features = channels * patch**2
        self.embed = (
            nn.Linear(features, width) if linear else nn.Conv2d(channels, width, patch, patch)
        )
        self.middle = nn.Linear(width, width)
        self.head = nn.Linear(width, features)

    def forward(self, x):
        x = self.embed(x)
        x = x.flatten(2).transpose(1, 2) if x.ndim == 4 else x
        return self.head(torch.tanh(self.middle(x)))


def pair(channels, detail, patch, width, linear, outermost=False, init="zero"):
    torch.manual_seed(0)
    base = Net(channels, patch, width, linear)
    wide = Net(channels, patch, width, linear)
    wide.load_state_dict(base.state_dict())
    g = torch.Generator().manual_seed(1)
    report = widen(
        wide,
        detail,
        embed="embed",
        head="head",
        positions=patch**2,
        init=init,
        channel_outermost=outermost,
        generator=g,
    )
    return base, wide, report


SHAPES = [(4, 12, 1, 32), (16, 16, 2, 64), (3, 5, 2, 48), (32, 96, 1, 128)]


@torch.no_grad()
@pytest.mark.parametrize(("channels", "detail", "patch", "width"), SHAPES)
def test_zero_init_of_a_convolution_is_exact(channels, detail, patch, width):
    base, wide, _ = pair(channels, detail, patch, width, linear=False)
    x = torch.randn(3, channels + detail, 8, 8)
    x[:, channels:] *= 1e20
    out = wide(x).unflatten(-1, (patch**2, channels + detail))
    expected = base(x[:, :channels].contiguous()).unflatten(-1, (patch**2, channels))
    assert torch.equal(out[..., :channels], expected)
    assert torch.equal(out[..., channels:], torch.zeros_like(out[..., channels:]))


@torch.no_grad()
@pytest.mark.parametrize("outermost", [False, True])
@pytest.mark.parametrize(("channels", "detail", "patch", "width"), SHAPES)
def test_zero_init_of_a_linear_is_exact(channels, detail, patch, width, outermost):
    base, wide, _ = pair(channels, detail, patch, width, linear=True, outermost=outermost)
    p = patch**2
    b, d = torch.randn(2, 7, channels * p), 1e20 * torch.randn(2, 7, detail * p)
    out = wide(join_packed(b, d, p, outermost))
    got = split_packed(out, channels * p, p, outermost)
    assert torch.equal(got[0], base(b))
    assert torch.equal(got[1], torch.zeros_like(got[1]))


def test_packed_order_by_hand():
    base, detail = (
        torch.tensor([1.0, 2, 3, 4]),
        torch.tensor([10.0, 20]),
    )  # 2 channels, 1 channel, 2 positions
    assert join_packed(base, detail, 2, False).tolist() == [1, 2, 10, 3, 4, 20]  # channel innermost
    assert join_packed(base, detail, 2, True).tolist() == [1, 2, 3, 4, 10, 20]  # channel outermost
    for outermost in (False, True):
        both = split_packed(join_packed(base, detail, 2, outermost), 4, 2, outermost)
        assert [part.tolist() for part in both] == [base.tolist(), detail.tolist()]


def test_random_init_has_the_stated_ranges_and_keeps_the_base():
    base, wide, report = pair(4, 60, 2, 256, linear=False, init="random")
    assert torch.equal(wide.embed.base.weight, base.embed.weight)
    bound = (1 / (60 * 4)) ** 0.5  # Kaiming-uniform with a = sqrt 5 is U(+-1 / sqrt(fan_in))
    assert 0.98 * bound < wide.embed.detail.weight.abs().max() <= bound
    assert 0.98 / 16 < wide.head.detail.weight.abs().max() <= 1 / 16
    assert 0.009 < wide.head.detail.bias.abs().max() <= 0.01
    assert set(report.names("new")) == {
        "embed.detail.weight",
        "head.detail.weight",
        "head.detail.bias",
    }


def test_one_sided_random_inits_draw_what_random_draws():
    both, inner, outer = (
        pair(4, 60, 2, 256, linear=False, init=init)[1]
        for init in ("random", "random_in", "random_out")
    )
    assert torch.equal(inner.embed.detail.weight, both.embed.detail.weight)
    assert not inner.head.detail.weight.any()
    assert not inner.head.detail.bias.any()
    assert not outer.embed.detail.weight.any()
    spread = outer.head.detail.weight.detach().std().item()
    assert spread == pytest.approx(1 / 16 / 3**0.5, rel=0.05)
    with pytest.raises(ValueError, match="one of zero, random, random_in"):
        pair(4, 4, 1, 16, linear=False, init="other")


def test_repeat_init_tiles_and_divides_the_input_only():
    base, wide, report = pair(4, 6, 1, 8, linear=False, init="repeat")  # ceil(10 / 4) = 3
    torch.testing.assert_close(wide.embed.base.weight, base.embed.weight / 3)
    torch.testing.assert_close(
        wide.embed.detail.weight[:, 5], base.embed.weight[:, 1] / 3
    )  # channel 9 = 1 mod 4
    assert torch.equal(wide.head.base.weight, base.head.weight)
    assert torch.equal(wide.head.detail.weight[4], base.head.weight[0])
    assert torch.equal(wide.head.detail.bias[:4], base.head.bias)
    assert "embed.base.weight" in report.names("widened")


@pytest.mark.parametrize("outermost", [False, True])
def test_repeat_init_respects_the_packed_order(outermost):
    base, wide, _ = pair(2, 2, 2, 8, linear=True, outermost=outermost, init="repeat")
    torch.testing.assert_close(wide.embed.detail.weight, base.embed.weight / 2)
    assert torch.equal(wide.head.detail.weight, base.head.weight)


def test_reset_keeps_nothing_of_the_two_layers():
    base, wide, report = pair(4, 4, 1, 16, linear=False, init="reset")
    assert not torch.equal(wide.embed.base.weight, base.embed.weight)
    assert not torch.equal(wide.head.base.weight, base.head.weight)
    assert torch.equal(wide.middle.weight, base.middle.weight)
    assert report.names("copied") == []


def test_report_names_every_parameter_once():
    _, wide, report = pair(4, 12, 1, 16, linear=True)
    assert [p.name for p in report.parameters] == [name for name, _ in wide.named_parameters()]
    assert report.names("untouched") == ["middle.weight", "middle.bias"]
    assert "new: 3 tensors" in str(report)


def test_layers_that_cannot_be_widened_are_refused():
    net = Net(4, 1, 16, linear=False)
    with pytest.raises(ValueError, match="no layer 'patch'"):
        widen(net, 4, embed="patch", head="head", positions=1)
    with pytest.raises(ValueError, match="head 'embed' is a Conv2d"):
        widen(net, 4, embed="embed", head="embed", positions=1)
    with pytest.raises(ValueError, match="3 patch positions do not divide"):
        widen(net, 4, embed="embed", head="head", positions=3)
    with pytest.raises(ValueError, match="at least 1"):
        widen(net, 0, embed="embed", head="head", positions=1)


@torch.no_grad()
@pytest.mark.parametrize(("patch", "qk_norm"), [(1, True), (2, False)])
def test_widened_dit_starts_as_the_base_dit(patch, qk_norm):
    torch.manual_seed(0)
    base = DiT(
        **asdict(DiTConfig(hidden_size=48, depth=2, num_heads=4, patch_size=patch, qk_norm=qk_norm))
    ).eval()
    for p in base.parameters():
        p.normal_(std=0.3)
    wide = DiT(**dict(base.config))
    wide.load_state_dict(base.state_dict())
    report = adapt(wide, 12)
    assert wide.config.qk_norm == qk_norm
    assert wide.config.in_channels == 16
    x, t, y = torch.randn(3, 16, 8, 8), torch.rand(3), torch.tensor([0, 5, 10])
    out = wide.eval()(x, t, y)
    assert torch.equal(out[:, :4], base(x[:, :4].contiguous(), t, y))
    assert torch.equal(out[:, 4:], torch.zeros(3, 12, 8, 8))
    assert len(report.parameters) == len(list(wide.parameters()))
    with pytest.raises(ValueError, match="already"):
        adapt(wide, 4)
