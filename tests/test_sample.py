from types import SimpleNamespace

import pytest
import torch

from davae.core.experiment import SampleConfig
from davae.method.sampler import euler, heun, time_grid
from davae.models.families.lightning import guided
from tests.small_models import sample_dit


def test_grid_has_one_step_less_than_points():
    grid = time_grid(249, 0.3)
    assert len(grid) == 250
    assert grid[0] == 0
    assert grid[-1] == 1
    assert grid[125].item() == pytest.approx(0.3 * (125 / 249) / (1 - 0.7 * 125 / 249), rel=1e-6)


@pytest.mark.parametrize("n", [1, 4, 32])
def test_solvers_on_exponential_growth(n):
    """dx/dt = x: Euler multiplies by 1 + h a step, Heun by 1 + h + h^2 / 2."""
    x, h = torch.tensor([1.0, -2.0], dtype=torch.float64), 1 / n
    times = torch.linspace(0, 1, n + 1, dtype=torch.float64)
    torch.testing.assert_close(euler(lambda x, t: x, x, times), x * (1 + h) ** n)
    torch.testing.assert_close(heun(lambda x, t: x, x, times), x * (1 + h + h * h / 2) ** n)


def test_euler_is_exact_on_the_velocity_of_a_straight_flow():
    """To a point mass at m the marginal velocity is (m - x) / (1 - t), and paths are straight
    lines."""
    m = torch.tensor([3.0, -1.0], dtype=torch.float64)
    x = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for n in (1, 7):
        end = euler(
            lambda x, t: (m - x) / (1 - t), x, torch.linspace(0, 1, n + 1, dtype=torch.float64)
        )
        torch.testing.assert_close(end, m.expand(5, 2))


def test_heun_converges_on_the_gaussian_flow():
    """N(0, 1) to N(0, s^2): v = x (t s^2 - (1 - t)) / (t^2 s^2 + (1 - t)^2), and x_1 = s x_0."""
    s = 0.5

    def velocity(x, t):
        return x * (t * s**2 - (1 - t)) / (t**2 * s**2 + (1 - t) ** 2)

    x = torch.tensor([1.0], dtype=torch.float64)
    errors = [
        abs(heun(velocity, x, torch.linspace(0, 1, n + 1, dtype=torch.float64)).item() - s)
        for n in (20, 40)
    ]
    assert errors[1] < 1e-3
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.2)  # second order


class Labelled:
    """A velocity that is its label, and -1 for the null label 9."""

    config = SimpleNamespace(num_classes=9)

    def __init__(self):
        self.sizes, self.times, self.embedded = [], [], 0

    def y_embedder(self, y):
        self.embedded += 1
        return torch.where(y == 9, -1.0, y.double())[:, None]

    def t_embedder(self, t):
        self.times.append(tuple(t.shape))
        return t[:, None]

    def velocity(self, x, time, label):
        self.sizes.append(len(x))
        return label.expand_as(x)


def test_guidance_extrapolates_from_the_null_label_in_one_batch():
    dit, labels = Labelled(), torch.tensor([2, 5])
    x = torch.zeros(2, 3, dtype=torch.float64)
    v = guided(dit, labels, SampleConfig(guidance_scale=4.0, guidance_interval=(0.2, 1.0)))
    assert v(x, torch.tensor(0.5))[:, 0].tolist() == [-1 + 4 * 3, -1 + 4 * 6]
    assert v(x, torch.tensor(0.1))[:, 0].tolist() == [2, 5]
    assert dit.sizes == [4, 2]
    assert dit.embedded == 1  # not at every step
    assert dit.times == [(1,), (1,)]  # once for all samples
    assert guided(dit, labels, SampleConfig(guidance_scale=1.0))(x, torch.tensor(0.5))[
        :, 0
    ].tolist() == [2, 5]
    assert dit.sizes[-1] == 2


def test_sampling_integrates_the_guided_velocity():
    config = SampleConfig(num_inference_steps=3, guidance_scale=2.0, timestep_shift=0.5)
    end = sample_dit(Labelled(), torch.zeros(1, 1, dtype=torch.float64), torch.tensor([3]), config)
    assert end.item() == pytest.approx(-1 + 2 * 4)
