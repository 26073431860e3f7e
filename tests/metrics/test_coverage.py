"""Precision, recall, density, coverage."""

import numpy as np
import pytest

from davae.metrics.coverage import coverage, radii


def test_coverage_of_sets_known_by_eye():
    line = np.arange(40.0)[:, None]
    assert radii(line)[20] == 3.0  # the fifth neighbour of an inner point: 1, 1, 2, 2, 3
    same = coverage(line, line)
    assert (same.precision, same.recall, same.coverage) == (1.0, 1.0, 1.0)
    far = coverage(line + 1000, line)
    assert (far.precision, far.recall, far.density, far.coverage) == (0.0, 0.0, 0.0, 0.0)
    half = coverage(np.concatenate([line[:20], line[:20] + 1000]), line)
    assert half.precision == 0.5
    assert half.coverage == pytest.approx(23 / 40)  # those within 3 of the first twenty
    with pytest.raises(ValueError, match="more than 5"):
        coverage(line[:4], line[:4])
