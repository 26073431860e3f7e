"""Grid and solvers."""

import pytest
import torch

from davae.method.sampler import euler, heun, time_grid


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
