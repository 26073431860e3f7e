"""The timer waits for the device."""

import pytest
import torch

from davae.measure import timing


def test_seconds_are_those_between_two_waits(monkeypatch):
    """A device that works on after its launch: the clock is read when it has finished."""
    clock, pending = [10.0], [0.0]

    def wait(device):
        clock[0] += pending[0]
        pending[0] = 0.0

    def launch():
        clock[0] += 0.001
        pending[0] = 0.5
        return "result"

    monkeypatch.setattr(torch.cuda, "synchronize", wait)
    gpu = timing.Clock("cuda", now=lambda: clock[0])
    pending[0] = 3.0  # work from before is not counted
    assert gpu.timed(launch) == (pytest.approx(0.501), "result")
    assert gpu.block(launch, 4) == pytest.approx((4 * 0.001 + 0.5) / 4)
    cpu = timing.Clock("cpu", now=lambda: clock[0])
    assert cpu.timed(launch)[0] == pytest.approx(0.001)


class Runs:
    """Runs of these lengths one after the other, by a clock that moves with them."""

    def __init__(self, *seconds):
        self.seconds, self.now, self.calls = seconds, 0.0, 0

    def __call__(self):
        self.now += self.seconds[min(self.calls, len(self.seconds) - 1)]
        self.calls += 1

    @property
    def clock(self):
        return timing.Clock(now=lambda: self.now)


def test_warm_up_ends_when_steady():
    run = Runs(3.0, 2.0, 1.0, 1.04)
    assert timing.warm_up(run, run.clock) == pytest.approx((3.0, 2.0, 1.0, 1.04))


def test_a_long_run_is_warm():
    run = Runs(6.0)
    assert timing.warm_up(run, run.clock) == (6.0,)


def test_warm_up_ends_at_its_limit():
    run = Runs(*(2.0 ** -(n % 2) for n in range(100)))
    assert len(timing.warm_up(run, run.clock)) == timing.MOST_WARMUP_RUNS


def test_a_gpu_is_warmed_for_half_a_second(monkeypatch):
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    run = Runs(0.02)
    clock = timing.Clock("cuda", now=lambda: run.now)
    assert sum(timing.warm_up(run, clock)) == pytest.approx(0.5, abs=0.03)


def test_the_timer_takes_less_than_a_hundredth_of_ten_milliseconds():
    best = min(timing.Clock().block(lambda: timing.timed(lambda: None), 1000) for _ in range(5))
    assert best < 0.01 * 0.010
