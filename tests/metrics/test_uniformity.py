"""Uniformity of an embedding."""

import numpy as np
import pytest

from davae.metrics.uniformity import embedding_density, uniformity


def test_uniformity_closed_forms():
    even = uniformity(np.full((8, 8), 3.0))
    assert (even.variation, even.gini, even.entropy) == pytest.approx((0.0, 0.0, 1.0), abs=1e-12)
    one = np.zeros(64)
    one[5] = 2.0
    single = uniformity(one)
    assert (single.variation, single.gini, single.entropy) == pytest.approx(
        (np.sqrt(63), 1 - 1 / 64, 0.0)
    )
    half = uniformity(np.repeat([0.0, 1.0], 32))
    assert (half.variation, half.gini, half.entropy) == pytest.approx(
        (1.0, 0.5, np.log(32) / np.log(64))
    )
    with pytest.raises(ValueError, match="positive sum"):
        uniformity(np.zeros(4))
    rng = np.random.default_rng(0)
    spread = uniformity(embedding_density(rng.uniform(size=(500, 2))))
    lumps = uniformity(
        embedding_density(rng.standard_normal((500, 2)) * 0.05 + rng.integers(0, 2, (500, 1)))
    )
    assert spread.gini < lumps.gini
    assert spread.entropy > lumps.entropy
