"""What an NVIDIA GPU says of itself while it is measured, by NVML (nvidia-ml-py)."""

from __future__ import annotations

import threading
import time
from statistics import mean
from types import TracebackType
from typing import Any

THROTTLED = {
    "power": "nvmlClocksThrottleReasonSwPowerCap",
    "slowdown": "nvmlClocksThrottleReasonHwSlowdown",
    "heat": "nvmlClocksThrottleReasonSwThermalSlowdown",
}
"""Reasons that make a measurement suspect, by the name of their bit."""


PERIOD = 0.2
"""Seconds between two readings."""
LEAST_SECONDS = 2.0
"""The counter of energy is refreshed some times a second: of less than this it says little."""
READINGS = {
    "sm_clock_mhz": ("nvmlDeviceGetClockInfo", 1),
    "sm_clock_max_mhz": ("nvmlDeviceGetMaxClockInfo", 1),
    "power_w": ("nvmlDeviceGetPowerUsage", 1000),
    "power_limit_w": ("nvmlDeviceGetEnforcedPowerLimit", 1000),
}
"""Column to NVML's function and what its value is divided by."""


class Board:
    """Energy, power, clock and throttling of one GPU between entering and leaving, read every
    PERIOD seconds by a thread.

    Without the library (`import pynvml`) `figures` is empty, and a figure that the board does not
    give is absent: nothing is guessed."""

    def __init__(self, uuid: str, nvml: Any = None):
        """uuid: of `torch.cuda.get_device_properties`. NVML's own numbers are not CUDA's where
        CUDA_VISIBLE_DEVICES hides or orders the GPUs."""
        self.uuid, self.nvml = uuid, nvml if nvml is not None else library()
        self.readings: dict[str, list[float]] = {}
        self.throttled: set[str] = set()
        self.joules: float | None = None
        self.done = threading.Event()

    def __enter__(self) -> Board:
        if self.nvml is None:
            return self
        try:
            self.nvml.nvmlInit()
            self.handle = self.nvml.nvmlDeviceGetHandleByUUID(f"GPU-{self.uuid}")
        except self.nvml.NVMLError:  # no driver, or a board that is not ours to ask
            self.nvml = None
            return self
        self.before = self.ask("nvmlDeviceGetTotalEnergyConsumption")
        self.begun = time.perf_counter()
        self.watcher = threading.Thread(target=self.watch, daemon=True)
        self.watcher.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.nvml is None:
            return
        self.done.set()
        self.watcher.join()
        after = self.ask("nvmlDeviceGetTotalEnergyConsumption")
        long = time.perf_counter() - self.begun >= LEAST_SECONDS
        if long and after is not None and self.before is not None:
            self.joules = (after - self.before) / 1000
        self.nvml.nvmlShutdown()

    def ask(self, name: str, *arguments: Any) -> float | None:
        """What the board answers; None where it gives no such figure."""
        try:
            return getattr(self.nvml, name)(self.handle, *arguments)
        except self.nvml.NVMLError:
            return None

    def watch(self) -> None:
        """Read until leaving."""
        while not self.done.wait(PERIOD):
            self.read()

    def read(self) -> None:
        """One reading of clock, power and throttling."""
        for name, (function, divisor) in READINGS.items():
            arguments = (self.nvml.NVML_CLOCK_SM,) if "Clock" in function else ()
            value = self.ask(function, *arguments)
            if value is not None:
                self.readings.setdefault(name, []).append(value / divisor)
        reasons = self.ask("nvmlDeviceGetCurrentClocksThrottleReasons")
        if reasons is not None:
            self.throttled |= {
                name for name, bit in THROTTLED.items() if int(reasons) & getattr(self.nvml, bit)
            }

    def figures(self, images: int) -> dict[str, Any]:
        """The columns of a record: means of the readings; joules are of one of the `images` made in
        between."""
        if self.nvml is None:
            return {}
        found: dict[str, Any] = {name: mean(values) for name, values in self.readings.items()}
        if self.joules is not None:
            found["joules_image"] = self.joules / images
        return {**found, "throttled": ", ".join(sorted(self.throttled))}


def library() -> Any:
    """The module pynvml, or None where it is not installed."""
    try:
        import pynvml
    except ImportError:
        return None
    return pynvml
