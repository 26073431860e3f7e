"""Terms of the VAE loss, Eq. 6."""

import math

import pytest
import torch

from davae.method.vae_loss import (
    gradient_ratio,
    haar_detail,
    kl_mean,
    laplacian_pyramid,
    pyramid_l1,
)


def test_kl_closed_form():
    assert kl_mean(torch.zeros(5), torch.zeros(5)).item() == 0.0
    mean, logvar = torch.tensor([2.0]), torch.tensor([math.log(4.0)])
    assert kl_mean(mean, logvar).item() == pytest.approx(4 + 4 - 1 - math.log(4), rel=1e-6)


def test_laplacian_pyramid_sums_to_the_image():
    x = torch.randn(2, 3, 32, 32)
    *bands, image = laplacian_pyramid(x, 3)
    assert image.shape[-1] == 4
    for band in reversed(bands):
        image = band + torch.nn.functional.interpolate(
            image, scale_factor=2, mode="bilinear", align_corners=False
        )
    torch.testing.assert_close(image, x)
    assert pyramid_l1(x, x).item() == 0.0
    # a constant error is all in the low-pass rest, one of four bands
    assert pyramid_l1(x + 0.5, x).item() == pytest.approx(0.125, rel=1e-5)


def test_gradient_ratio_closed_form_detached_and_clamped():
    w = torch.tensor([3.0, 4.0], requires_grad=True)
    nll, term = 2 * (w**2).sum() / 2, w.sum()  # gradients 2 w (norm 10) and 1 (norm sqrt 2)
    ratio = gradient_ratio(nll, term, w, upper=1e8)
    assert ratio.item() == pytest.approx(10 / (math.sqrt(2) + 1e-4))
    assert not ratio.requires_grad
    assert gradient_ratio(nll, term, w, upper=3.0).item() == 3.0
    other = torch.tensor([1.0], requires_grad=True)
    assert gradient_ratio(nll, 5 * other.sum(), w, at=other, upper=1e8).item() == pytest.approx(
        10 / 5.0001
    )


def test_haar_detail_by_hand():
    image = torch.tensor([[[[1.0, 2.0], [3.0, 5.0]]]])
    # columns (1 - 2 + 3 - 5) / 2, rows (1 + 2 - 3 - 5) / 2, diagonal (1 - 2 - 3 + 5) / 2
    assert haar_detail(image).flatten().tolist() == [-1.5, -2.5, 0.5]
    smooth = (
        torch.arange(16.0).reshape(4, 4)[None, None].repeat_interleave(2, 2).repeat_interleave(2, 3)
    )
    assert not haar_detail(smooth).any()
    x = torch.randn(2, 3, 8, 8)
    energy = (
        haar_detail(x).square().sum() + (4 * torch.nn.functional.avg_pool2d(x, 2).square()).sum()
    )
    torch.testing.assert_close(energy, x.square().sum())  # an orthonormal transform
