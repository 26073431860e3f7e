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
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])
    pending[0] = 3.0  # work from before is not counted
    assert timing.timed(launch, "cuda") == (pytest.approx(0.501), "result")
    assert timing.block_seconds(launch, 4, "cuda") == pytest.approx((4 * 0.001 + 0.5) / 4)
    assert timing.timed(launch, "cpu")[0] == pytest.approx(0.001)
