"""The learning rate."""

import pytest

from davae.train.optim import lr_factor


def test_learning_rate():
    assert [lr_factor(n, 10, 4, "constant") for n in (0, 3, 4, 9)] == [0.25, 1.0, 1.0, 1.0]
    assert lr_factor(4, 10, 4, "cosine") == 1.0
    assert lr_factor(7, 10, 4, "cosine") == pytest.approx(0.5)
