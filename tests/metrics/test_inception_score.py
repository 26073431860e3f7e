"""The Inception Score."""

import numpy as np
import pytest

from davae.metrics.inception_score import inception_score


def test_inception_score_closed_forms():
    sure = np.eye(4)[np.arange(400) % 4]
    assert inception_score(sure, splits=1).value == pytest.approx(4.0)
    assert inception_score(np.full((400, 4), 0.25)).value == pytest.approx(1.0)
    assert "biased downward" in inception_score(np.full((30, 4), 0.25)).note
    with pytest.raises(ValueError, match="sum to 1"):
        inception_score(np.full((40, 4), 0.5))
