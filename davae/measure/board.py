"""What an NVIDIA GPU says of itself while it is measured, by NVML (nvidia-ml-py)."""

from __future__ import annotations

from types import TracebackType
from typing import Any

THROTTLED = {
    "power": "nvmlClocksThrottleReasonSwPowerCap",
    "slowdown": "nvmlClocksThrottleReasonHwSlowdown",
    "heat": "nvmlClocksThrottleReasonSwThermalSlowdown",
}
"""Reasons that make a measurement suspect, by the name of their bit."""


class Board:
    """Energy, power, clock and throttling of one GPU between entering and leaving.

    Without the library (`import pynvml`) `figures` is empty: nothing is guessed."""

    def __init__(self, index: int = 0, nvml: Any = None):
        self.index, self.nvml = index, nvml if nvml is not None else library()
        self.before = self.after = 0
        self.throttled: list[str] = []
        self.state: dict[str, float] = {}

    def __enter__(self) -> Board:
        if self.nvml is not None:
            self.nvml.nvmlInit()
            self.handle = self.nvml.nvmlDeviceGetHandleByIndex(self.index)
            self.before = self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.nvml is None:
            return
        self.after = self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle)
        reasons = self.nvml.nvmlDeviceGetCurrentClocksThrottleReasons(self.handle)
        self.throttled = [
            name for name, bit in THROTTLED.items() if reasons & getattr(self.nvml, bit)
        ]
        clock = self.nvml.NVML_CLOCK_SM
        self.state = {
            "sm_clock_mhz": self.nvml.nvmlDeviceGetClockInfo(self.handle, clock),
            "sm_clock_max_mhz": self.nvml.nvmlDeviceGetMaxClockInfo(self.handle, clock),
            "power_w": self.nvml.nvmlDeviceGetPowerUsage(self.handle) / 1000,
            "power_limit_w": self.nvml.nvmlDeviceGetEnforcedPowerLimit(self.handle) / 1000,
        }
        self.nvml.nvmlShutdown()

    def figures(self, images: int) -> dict[str, Any]:
        """The columns of a record; joules are of one of the `images` made in between."""
        if self.nvml is None:
            return {}
        joules = (self.after - self.before) / 1000 / images
        return {**self.state, "throttled": ", ".join(self.throttled), "joules_image": joules}


def library() -> Any:
    """The module pynvml, or None where it is not installed."""
    try:
        import pynvml
    except ImportError:
        return None
    return pynvml
