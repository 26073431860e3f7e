"""The GPU's own figures, from a made-up NVML."""

import time

import pytest

from davae.measure import board


class Nvml:
    """A GPU of 300 W that has spent 6 J more each time it is asked, held by its power cap."""

    NVML_CLOCK_SM = 1
    NVMLError = RuntimeError
    nvmlClocksThrottleReasonSwPowerCap = 4
    nvmlClocksThrottleReasonHwSlowdown = 8
    nvmlClocksThrottleReasonSwThermalSlowdown = 32

    def __init__(self):
        self.energy, self.open = 1000, 0

    def nvmlInit(self):
        self.open += 1

    def nvmlShutdown(self):
        self.open -= 1

    def nvmlDeviceGetHandleByUUID(self, uuid):
        assert uuid == "GPU-6e1a-22"
        return "gpu"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        self.energy += 6000
        return self.energy

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle):
        return 4

    def nvmlDeviceGetClockInfo(self, handle, kind):
        return 1500

    def nvmlDeviceGetMaxClockInfo(self, handle, kind):
        return 1980

    def nvmlDeviceGetPowerUsage(self, handle):
        return 300_000

    def nvmlDeviceGetEnforcedPowerLimit(self, handle):
        return 300_000


@pytest.fixture
def quick(monkeypatch):
    """Readings every 10 ms, and energy of any time."""
    monkeypatch.setattr(board, "PERIOD", 0.01)
    monkeypatch.setattr(board, "LEAST_SECONDS", 0.0)


def test_energy_is_by_image_and_throttling_is_named(quick):
    nvml = Nvml()
    with board.Board("6e1a-22", nvml) as gpu:
        time.sleep(0.1)
    figures = gpu.figures(images=4)
    assert figures["joules_image"] == pytest.approx(1.5)
    assert figures["throttled"] == "power"
    assert (figures["sm_clock_mhz"], figures["power_w"]) == (1500, 300)
    assert nvml.open == 0


def test_without_the_library_nothing_is_said(monkeypatch):
    monkeypatch.setattr(board, "library", lambda: None)
    with board.Board("6e1a-22") as gpu:
        pass
    assert gpu.figures(images=4) == {}


def test_energy_of_a_moment_is_not_said():
    with board.Board("6e1a-22", Nvml()) as gpu:
        pass
    assert "joules_image" not in gpu.figures(images=4)


def test_a_figure_that_the_board_lacks_is_absent_and_a_missing_driver_is_none(quick):
    class Partial(Nvml):
        def nvmlDeviceGetTotalEnergyConsumption(self, handle):
            raise RuntimeError("not supported")

    with board.Board("6e1a-22", Partial()) as gpu:
        time.sleep(0.1)
    figures = gpu.figures(images=4)
    assert "joules_image" not in figures
    assert figures["power_w"] == 300

    class Driverless(Nvml):
        def nvmlInit(self):
            raise RuntimeError("driver not loaded")

    with board.Board("6e1a-22", Driverless()) as gpu:
        pass
    assert gpu.figures(images=4) == {}


def test_throttling_in_between_is_noticed(monkeypatch):
    monkeypatch.setattr(board, "PERIOD", 0.001)

    class Once(Nvml):
        asked = 0

        def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle):
            self.asked += 1
            return 32 if self.asked == 3 else 0

    nvml = Once()
    with board.Board("6e1a-22", nvml) as gpu:
        while nvml.asked < 5:
            time.sleep(0.001)
    assert gpu.figures(images=1)["throttled"] == "heat"
