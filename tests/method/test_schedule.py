"""w(n), Eq. 12."""

import math

import pytest

from davae.method.schedule import detail_weight


@pytest.mark.parametrize(
    ("n", "w"),
    [
        (0, 0.0),
        (25, (1 - math.sqrt(0.5)) / 2),
        (50, 0.5),
        (75, 0.8535533905932737),
        (100, 1.0),
        (101, 1.0),
    ],
)
def test_detail_weight_is_eq_12(n, w):
    assert detail_weight(n, 100) == pytest.approx(w, abs=1e-15)


def test_other_shapes_of_the_detail_weight():
    assert detail_weight(25, 100, "linear") == 0.25
    assert detail_weight(0, 100, "constant") == 1.0
    assert detail_weight(0, 0) == 1.0
    assert [detail_weight(n, 100, "step") for n in (0, 99, 100)] == [0.0, 0.0, 1.0]
    sigmoid = [detail_weight(n, 100, "sigmoid") for n in (0, 20, 50, 80, 100)]
    ends = 1 / (1 + math.exp(6.0)), 1 / (1 + math.exp(-6.0))
    at_20 = (1 / (1 + math.exp(3.6)) - ends[0]) / (ends[1] - ends[0])
    assert sigmoid == pytest.approx([0.0, at_20, 0.5, 1 - at_20, 1.0], abs=1e-12)
    with pytest.raises(ValueError, match="one of cosine, linear, sigmoid, step, constant"):
        detail_weight(0, 100, "square")
