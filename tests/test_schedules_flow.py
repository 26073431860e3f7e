import math

import pytest
import torch

from davae.method.flow import interpolate, logit_normal, shift_time, structured_loss
from davae.method.schedule import detail_weight
from davae.train.optim import lr_factor


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
    with pytest.raises(ValueError, match="cosine, linear or constant"):
        detail_weight(0, 100, "step")


def test_learning_rate():
    assert [lr_factor(n, 10, 4, "constant") for n in (0, 3, 4, 9)] == [0.25, 1.0, 1.0, 1.0]
    assert lr_factor(4, 10, 4, "cosine") == 1.0
    assert lr_factor(7, 10, 4, "cosine") == pytest.approx(0.5)


def test_interpolation_runs_from_noise_to_data():
    data, noise = torch.tensor([[2.0]]), torch.tensor([[-1.0]])
    x, u = interpolate(data, noise, torch.tensor([0.25]))
    assert x.item() == pytest.approx(0.25 * 2 - 0.75)
    assert u.item() == 3.0
    assert interpolate(data, noise, torch.tensor([1.0]))[0].item() == 2.0


def test_time_shift_and_logit_normal():
    t = torch.tensor([0.0, 0.5, 1.0])
    assert shift_time(t, 0.3).tolist() == pytest.approx([0.0, 0.15 / 0.65, 1.0])
    assert torch.equal(shift_time(t, 1.0), t)
    assert logit_normal(torch.tensor([0.0, 1.0]), 1.0, 2.0).tolist() == pytest.approx(
        [1 / (1 + math.exp(-1)), 1 / (1 + math.exp(-3))]
    )


def test_structured_loss_is_eq_13_by_hand():
    prediction = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)
    target = torch.tensor([0.0, 4.0, 0.0]).view(1, 3, 1, 1)
    parts = structured_loss(prediction, target, 1, 0.5)  # |B| = 1, |R| = 2
    assert parts.loss.item() == pytest.approx((1 + 0.5 * (4 + 9)) / (1 + 0.5 * 2))
    assert parts.base.item() == 1.0
    assert parts.detail.item() == pytest.approx(6.5)


def test_structured_loss_without_detail_weight_is_the_base_loss_and_with_one_the_mean():
    g = torch.Generator().manual_seed(0)
    a, b = torch.randn(3, 16, 4, 4, generator=g), torch.randn(3, 16, 4, 4, generator=g)
    torch.testing.assert_close(structured_loss(a, b, 4, 0.0).loss, (a - b)[:, :4].square().mean())
    torch.testing.assert_close(structured_loss(a, b, 4, 1.0).loss, (a - b).square().mean())
    narrow = structured_loss(a, b, 16, 1.0)
    assert narrow.detail.item() == 0.0
    torch.testing.assert_close(narrow.loss, (a - b).square().mean())
