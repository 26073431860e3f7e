"""Radial spectra."""

import numpy as np
import pytest

from davae.metrics.spectrum import high_frequency_share, radial_spectrum


def test_spectrum_of_white_noise_and_of_waves():
    rng = np.random.default_rng(0)
    frequency, power = radial_spectrum(rng.standard_normal((300, 4, 16, 16)) * 7 + 3)
    assert frequency.tolist() == [r / 16 for r in range(1, 9)]
    np.testing.assert_allclose(power, 1, atol=0.1)
    phase = rng.uniform(0, 2 * np.pi, (50, 2, 1, 1))
    wave = np.cos(2 * np.pi * 5 / 32 * np.arange(32) + phase) * np.ones((50, 2, 32, 32))
    frequency, power = radial_spectrum(wave)
    assert frequency[power.argmax()] == 5 / 32
    assert high_frequency_share(frequency, power) < 0.01
    fast = np.cos(2 * np.pi * 13 / 32 * np.arange(32) + phase) * np.ones((50, 2, 32, 32))
    assert high_frequency_share(*radial_spectrum(fast)) > 0.99
    with pytest.raises(ValueError, match="constant"):
        radial_spectrum(np.ones((2, 1, 8, 8)))
    with pytest.raises(ValueError, match="square"):
        radial_spectrum(np.ones((2, 1, 8, 4)))
