import pytest
import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.vae import Decoder, Encoder
from diffusers.models.resnet import ResnetBlock2D

from davae.models.davae import DAVAE, DAVAEConfig
from davae.models.streamline import LEANER, Upsample, phase_kernels, streamline, woven


def bodies():
    torch.manual_seed(0)
    down = ("DownEncoderBlock2D", "AttnDownEncoderBlock2D")
    encoder = Encoder(3, 4, down, (8, 16), 2, 4, mid_block_add_attention=True)
    up = ("AttnUpDecoderBlock2D", "UpDecoderBlock2D")
    return encoder, Decoder(4, 3, up, (8, 16), 2, 4, mid_block_add_attention=True)


def gradients(body, x):
    body.zero_grad()
    out = body(x)
    (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
    return out.detach(), [p.grad.clone() for p in body.parameters()]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_leaner_bodies_compute_what_diffusers_do(layout):
    """The encoder bit for bit, the decoder to rounding; gradients of every parameter, too."""
    encoder, decoder = (body.to(memory_format=layout) for body in bodies())
    for body, x in ((encoder, torch.randn(2, 3, 24, 32)), (decoder, torch.randn(2, 4, 6, 10))):
        x = x.to(memory_format=layout)
        with torch.no_grad():
            plain = body(x)
        plain_train, plain_grads = gradients(body, x)
        assert not any(type(m) in LEANER.values() for m in body.modules())
        streamline(body)
        assert sum(type(m) in LEANER.values() for m in body.modules()) >= 7
        with torch.no_grad():
            lean = body(x)
        lean_train, lean_grads = gradients(body, x)
        if body is encoder:
            assert torch.equal(lean, plain)
        torch.testing.assert_close(lean, plain, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(lean_train, plain_train, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(lean_grads, plain_grads, rtol=1e-3, atol=1e-3)


def test_phase_kernels_by_hand():
    """Taps 1..9: rows {1} and {2, 3} or {1, 2} and {3} meet, columns likewise."""
    weight = torch.arange(1.0, 10.0).view(1, 1, 3, 3)
    assert phase_kernels(weight).view(4, 4).tolist() == [
        [1, 2 + 3, 4 + 7, 5 + 6 + 8 + 9],
        [1 + 2, 3, 4 + 5 + 7 + 8, 6 + 9],
        [1 + 4, 2 + 3 + 5 + 6, 7, 8 + 9],
        [1 + 2 + 4 + 5, 3 + 6, 7 + 8, 9],
    ]


@pytest.mark.parametrize("batch", [1, 65])
def test_upsampling_equals_doubling_then_convolving(batch):
    torch.manual_seed(0)
    up = Upsample(3, use_conv=True, out_channels=5).double()
    x = torch.randn(batch, 3, 4, 7, dtype=torch.float64)
    expected = F.conv2d(F.interpolate(x, scale_factor=2.0), up.conv.weight, up.conv.bias, padding=1)
    torch.testing.assert_close(up(x), expected)


def test_phases_are_woven_alike_with_gradients_and_without():
    parts = list(torch.arange(4 * 2 * 3 * 5 * 2.0).view(4, 2, 3, 5, 2))
    with torch.no_grad():
        written = woven(parts)
    assert torch.equal(written, woven(parts))
    for phase, (a, b) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        assert torch.equal(written[:, a::2, b::2], parts[phase])


def test_blocks_with_other_options_are_refused():
    with pytest.raises(AssertionError, match="not a block of a VAE"):
        streamline(torch.nn.Sequential(ResnetBlock2D(in_channels=32, temb_channels=16)))


def test_nothing_frozen_keeps_activations():
    """Encoding with gradients saves nothing for the base path: neither weights nor activations of
    it."""
    torch.manual_seed(0)
    model = DAVAE(**vars(DAVAEConfig(block_out_channels=(8, 8, 16, 16), norm_num_groups=4)))
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor
    ):
        model.encode_base(torch.randn(2, 3, 64, 64, requires_grad=True))
        assert saved == []
        model.encode(torch.randn(2, 3, 64, 64))
    frozen = {
        p.data_ptr()
        for p in (*model.base_encoder.parameters(), *model.base_quant_conv.parameters())
    }
    assert saved
    assert not frozen & {tensor.data_ptr() for tensor in saved}
