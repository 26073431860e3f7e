"""What of the detail latent is a linear copy of the base latent."""

import numpy as np
import torch

from davae.core.data_config import DataConfig
from davae.data.crops import draw_images
from davae.method.alignment import orthogonal
from davae.metrics.latents import by_channel, linear_cka
from davae.stages.latents import at_size, linear_copy, spaces


def rows(latents):
    return by_channel(latents)[:400]


def test_the_residual_holds_no_linear_copy_of_the_base():
    """z_d = A z + b + e: the residual is e, on samples that the regression has not seen, while the
    part that the alignment loss does not touch still holds z."""
    rng = np.random.default_rng(0)
    z, e = rng.normal(size=(80, 4, 8, 8)), rng.normal(size=(80, 12, 8, 8))
    a, b = rng.normal(size=(12, 4)), rng.normal(size=(12, 1, 1))
    z_d = np.einsum("dc,nchw->ndhw", a, z) + b + 0.5 * e
    copied = linear_copy(z[:60], z_d[:60])
    np.testing.assert_allclose(copied[:4], a.T, atol=0.05)
    np.testing.assert_allclose(copied[4], b[:, 0, 0], atol=0.05)
    residual = spaces(z[60:], z_d[60:], copied)["z_d_residual"]
    np.testing.assert_allclose(residual, 0.5 * e[60:], atol=0.15)
    assert abs(linear_cka(rows(z[60:]), rows(residual))) < 0.02
    untouched = orthogonal(torch.from_numpy(z_d[60:]), 4).numpy()
    assert linear_cka(rows(z[60:]), rows(untouched)) > 0.2
    assert linear_cka(rows(z[60:]), rows(z_d[60:])) > 0.2


def test_a_spectrum_has_its_own_size_of_either_data_set():
    photographs, drawn = (at_size(DataConfig(name=name), 256) for name in ("photos", "scenes"))
    sides = (photographs.min_crop_px, photographs.max_crop_px, photographs.resolution_px)
    assert sides == (256, 256, 256)
    images, _, _ = draw_images(drawn, 0, "fresh", 2)
    assert images.shape == (2, 3, 256, 256)
