"""What every benchmark records beside its timings."""

from __future__ import annotations

from typing import Any

import pytest

from davae.core.environment import machine, revision, versions
from davae.measure.roofline import convolution_rate, matmul_rate


def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    """The machine, versions and ceiling; the host's name is left out."""
    machine_info.pop("node", None)
    about = {"machine": machine(), "versions": versions(), "matmul_flops_per_second": matmul_rate()}
    about["convolution_flops_per_second"] = convolution_rate()
    machine_info["davae"] = about


def pytest_benchmark_update_json(
    config: pytest.Config, benchmarks: list, output_json: dict[str, Any]
) -> None:
    """Keep the revision and drop the author and host that the plugin adds by default."""
    output_json["commit_info"] = revision()
