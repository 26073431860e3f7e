"""Perceptual distances."""

import numpy as np

from davae.metrics.perceptual import pd_effnet


def test_pd_effnet_grows_with_the_damage():
    from skimage import data

    image = data.astronaut()[:128, :128].transpose(2, 0, 1)[None]
    rng = np.random.default_rng(0)
    noisy = [
        (image + rng.normal(0, s, image.shape)).clip(0, 255).astype(np.uint8) for s in (5, 20, 60)
    ]
    found = [float(pd_effnet(x, image)[0]) for x in (image, *noisy)]
    assert found[0] == 0.0
    assert found == sorted(found)
    pair = pd_effnet(np.concatenate([noisy[0], noisy[2]]), np.concatenate([image, image]))
    np.testing.assert_allclose(pair, [found[1], found[3]], rtol=1e-4)
