"""PSNR and SSIM."""

import numpy as np
import pytest

from davae.metrics.reconstruction import PSNR_CAP_DB, psnr, ssim


def uint8(seed, n=3, side=16):
    return np.random.default_rng(seed).integers(0, 256, (n, 3, side, side), np.uint8)


def test_psnr_closed_form():
    a = np.full((2, 3, 8, 8), 100, np.uint8)
    b = a.copy()
    b[1] += 10
    assert psnr(a, b).tolist() == [PSNR_CAP_DB, pytest.approx(10 * np.log10(255**2 / 100))]


def test_psnr_and_ssim_agree_with_scikit_image():
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    a = uint8(0, 2, 32)
    b = (
        (a.astype(int) + np.random.default_rng(1).integers(-9, 9, a.shape))
        .clip(0, 255)
        .astype(np.uint8)
    )
    for i in range(2):
        assert psnr(a, b)[i] == pytest.approx(
            peak_signal_noise_ratio(a[i], b[i], data_range=255), rel=1e-9
        )
        x, y = (v[i].transpose(1, 2, 0) for v in (a, b))
        settings = {
            "gaussian_weights": True,
            "sigma": 1.5,
            "use_sample_covariance": False,
            "data_range": 255,
        }
        assert ssim(a, b)[i] == pytest.approx(
            structural_similarity(x, y, channel_axis=2, **settings), rel=1e-9
        )
        assert ssim(a, b)[i] == pytest.approx(
            direct_ssim(a[i].astype(float), b[i].astype(float)), rel=1e-9
        )


def direct_ssim(x, y):
    """Eq. 13 of Wang et al. with an 11 x 11 Gaussian of sigma 1.5, where the window fits."""
    taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.outer(taps, taps) / taps.sum() ** 2
    views = [np.lib.stride_tricks.sliding_window_view(v, (11, 11), (1, 2)) for v in (x, y)]
    mx, my = ((v * window).sum((-2, -1)) for v in views)
    sxx, syy, sxy = (
        (a * b * window).sum((-2, -1)) for a, b in ((views[0],) * 2, (views[1],) * 2, views)
    )
    c1, c2 = 2.55**2, 7.65**2
    top = (2 * mx * my + c1) * (2 * (sxy - mx * my) + c2)
    return (top / ((mx**2 + my**2 + c1) * (sxx - mx**2 + syy - my**2 + c2))).mean()


def test_psnr_does_not_wrap_around():
    assert psnr(np.zeros((1, 3, 8, 8), np.uint8), np.full((1, 3, 8, 8), 255, np.uint8))[0] == 0.0


def test_ssim_of_equal_and_of_constant_images():
    a = uint8(0)
    assert ssim(a, a).tolist() == [1.0, 1.0, 1.0]
    x, y = np.full((1, 3, 16, 16), 50, np.uint8), np.full((1, 3, 16, 16), 80, np.uint8)
    c1 = (0.01 * 255) ** 2  # without variance only the luminance term remains
    assert ssim(x, y)[0] == pytest.approx((2 * 50 * 80 + c1) / (50**2 + 80**2 + c1), rel=1e-6)
    with pytest.raises(ValueError, match="one shape"):
        ssim(a, a.astype(np.float32))
