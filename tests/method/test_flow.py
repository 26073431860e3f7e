"""The path, the times and the loss, Eq. 13."""

import math

import pytest
import torch

from davae.method.flow import (
    interpolate,
    logit_normal,
    min_snr_weight,
    shift_time,
    structured_loss,
)


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


def test_the_weight_of_a_sample_by_hand():
    t = torch.tensor([0.5, 0.9, 0.1, 0.0, 1.0])  # s = 0.5, 0.1, 0.9, 1, 0
    expected = torch.tensor([0.25, 0.01 * 5, 0.81 * (0.1 / 0.9), 0.0, 0.0])
    torch.testing.assert_close(min_snr_weight(t, 5.0), expected)


def test_weighted_samples_leave_the_denominator_as_it_is():
    a, b = torch.randn(3, 6, 2, 2), torch.randn(3, 6, 2, 2)
    weights = torch.tensor([0.5, 2.0, 0.0])
    error = (a - b).square()
    sums = error[:, :4].sum((1, 2, 3)) + 0.25 * error[:, 4:].sum((1, 2, 3))
    found = structured_loss(a, b, 4, 0.25, weights)
    torch.testing.assert_close(found.loss, (weights * sums).sum() / (3 * 4 * (4 + 0.25 * 2)))
    plain = structured_loss(a, b, 4, 0.25)
    torch.testing.assert_close(found.base, plain.base)
    torch.testing.assert_close(structured_loss(a, b, 4, 0.25, torch.ones(3)).loss, plain.loss)
