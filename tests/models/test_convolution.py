"""Weight gradients in the contiguous layout."""

from copy import deepcopy

import torch
from torch import nn

from davae.models.convolution import Convolution, contiguous_weight_gradients
from tests.small_models import small_davae


def test_gradients_are_those_of_the_plain_path():
    torch.manual_seed(0)
    for options in ({"padding": 1}, {"stride": 2}, {"padding": 1, "bias": False}):
        plain = nn.Conv2d(3, 5, 3, **options).double()
        other = deepcopy(plain)
        contiguous_weight_gradients(other)
        assert type(other) is Convolution
        x = torch.randn(2, 3, 8, 8).double().to(memory_format=torch.channels_last)
        gradients = []
        for layer in (plain, other):
            own = x.clone().requires_grad_()
            layer(own).square().sum().backward()
            gradients.append([own.grad, *(p.grad for p in layer.parameters())])
        for a, b in zip(*gradients, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(other, torch.randn(1, 3, 4, 4).double().requires_grad_())


def test_a_whole_autoencoder_trains_the_same(monkeypatch):
    model, images, latents = small_davae()
    other = deepcopy(model)
    contiguous_weight_gradients(other)
    assert not any(type(m) is nn.Conv2d for m in other.modules())
    x = images[:2].float() / 127.5 - 1
    gradients = []
    for davae in (model, other):
        davae = davae.to(memory_format=torch.channels_last)
        mean, _ = davae.detail_moments(x)
        davae.decode_raw(torch.cat([latents[:2], mean], 1)).square().mean().backward()
        gradients.append({n: p.grad for n, p in davae.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-3, atol=1e-6)
