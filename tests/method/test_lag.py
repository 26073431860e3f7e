"""A detail that is denoised behind the base."""

from dataclasses import asdict, replace

import pytest
import torch

from davae.core.experiment import Experiment, SampleConfig
from davae.method.flow import by_group, interpolate, interpolate_lagged, lagged_times
from davae.method.sampler import integrate, integrate_lagged
from davae.models.dit import DiT, DiTConfig


def test_times_by_hand():
    t = torch.tensor([0.0, 1 / 3, 2 / 3, 1.0])
    expected = torch.tensor([[0, 0], [0.5, 0], [1, 0.5], [1, 1]])
    torch.testing.assert_close(lagged_times(t, 0.5), expected)
    torch.testing.assert_close(lagged_times(t, 0.0), torch.stack([t, t], -1))
    of_each = lagged_times(torch.tensor([1 / 3, 1 / 3]), torch.tensor([0.0, 0.5]))
    torch.testing.assert_close(of_each, torch.tensor([[1 / 3, 1 / 3], [0.5, 0.0]]))


def test_each_group_is_noised_by_its_time():
    data, noise = torch.randn(2, 5, 3, 3), torch.randn(2, 5, 3, 3)
    times = torch.tensor([[0.2, 0.1], [1.0, 0.4]])
    x, target = interpolate_lagged(data, noise, times, 2)
    for group, column in ((slice(0, 2), 0), (slice(2, None), 1)):
        own, _ = interpolate(data[:, group], noise[:, group], times[:, column])
        torch.testing.assert_close(x[:, group], own)
    torch.testing.assert_close(target, data - noise)
    assert by_group(times, 2, data).shape == (2, 5, 1, 1)


def test_without_a_lag_it_is_eulers_rule_and_with_one_both_groups_arrive():
    noise, goal = torch.randn(2, 5, 3, 3), torch.randn(2, 5, 3, 3)

    def towards(x, t):  # the exact velocity of the straight path, from any point of it
        remaining = 1 - (t if t.ndim == 0 else by_group(t, 2, x))
        return torch.where(remaining > 1e-6, (goal - x) / remaining.clamp_min(1e-6), 0.0)

    plain = integrate(towards, noise, 7, 0.5)
    torch.testing.assert_close(integrate_lagged(towards, noise, 7, 0.5, 0.0, 2), plain)
    torch.testing.assert_close(
        integrate_lagged(towards, noise, 7, 0.5, 0.4, 2), goal, atol=1e-5, rtol=0
    )


def test_a_time_of_its_own_changes_nothing_at_first_and_something_when_trained(tmp_path):
    config = DiTConfig(in_channels=6, detail_channels=2, hidden_size=32, depth=1, num_heads=2)
    dit = DiT(**asdict(config))
    torch.manual_seed(0)
    for parameter in dit.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    x, t, y = torch.randn(2, 6, 8, 8), torch.tensor([0.3, 0.6]), torch.tensor([0, 1])
    before = dit(x, t, y)
    dit.give_detail_time()
    assert torch.equal(dit(x, torch.stack([t, 1 - t], -1), y), before)
    torch.nn.init.normal_(dit.lag_embedder.weight, std=0.2)
    dit.save_pretrained(tmp_path)
    again = DiT.from_pretrained(tmp_path)
    pairs = torch.stack([t, 1 - t], -1)
    assert torch.equal(again(x, pairs, y), dit(x, pairs, y))
    assert not torch.allclose(again(x, pairs, y), before)


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="needs a model that was adapted"):
        Experiment(sample=SampleConfig(detail_lag=0.2))
    with pytest.raises(ValueError, match="with a detail_lag it is euler"):
        SampleConfig(detail_lag=0.2, solver="heun")
    with pytest.raises(ValueError, match="least <= most"):
        replace(Experiment().adapt, detail_lag=(0.3, 0.1))
