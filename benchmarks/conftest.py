"""Options of the suite, and what every benchmark file records beside timings."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import torch

from davae.core.environment import machine, revision, versions
from davae.core.records import new_run_id
from davae.core.runtime import Runtime
from davae.measure.roofline import convolution_rate, copy_rate, matmul_rate

FAILURES = pytest.StashKey[list[dict[str, Any]]]()
RUN_ID = pytest.StashKey[str]()
WRITTEN = pytest.StashKey[bool]()
"""Whether the plugin has written its file."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The suite's own options."""
    group = parser.getgroup("davae benchmarks")
    group.addoption(
        "--scale", choices=("cpu", "gpu"), default="cpu",
        help="cpu: what fits 2 cores in 10 minutes (with -m full_size: SD3.5-Medium's shapes); "
        "gpu: the paper's settings in bfloat16",
    )  # fmt: skip
    group.addoption(
        "--device", default=None, help="cpu, cuda or cuda:N; without it what the scale needs"
    )
    group.addoption(
        "--isolate", action="store_true",
        help="every case in a fresh process with its own compile cache",
    )  # fmt: skip
    group.addoption(
        "--model", default="", metavar="PKG.MODULE:FACTORY",
        help="a model of your own: factory(batch, device) -> (network, arguments by name); "
        "give -k own_model to time it alone",
    )  # fmt: skip
    group.addoption(
        "--small", action="store_true",
        help="stand-ins of a few thousand weights, to test the commands of a GPU on a CPU",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Settle the device."""
    config.stash[FAILURES], config.stash[WRITTEN] = [], False
    config.stash[RUN_ID] = new_run_id()
    if config.option.device is None:
        config.option.device = "cuda" if config.option.scale == "gpu" else "cpu"
        if config.option.scale == "gpu" and not torch.cuda.is_available():
            raise pytest.UsageError(
                "--scale gpu: there is no GPU here; --small --device cpu runs stand-ins"
            )
    try:
        Runtime(device=config.option.device).apply()
    except ValueError as error:
        raise pytest.UsageError(f"--device: {error}") from None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of the scenarios, keep those of the scale."""
    gpu, kept, left = config.option.scale == "gpu", [], []
    for item in items:
        others = not hasattr(item, "callspec") or "scenario" not in item.callspec.params
        is_gpu = item.get_closest_marker("bench_gpu") is not None
        wanted = (not gpu or item.name.startswith("test_own_model")) if others else is_gpu == gpu
        (kept if wanted else left).append(item)
    items[:] = kept
    if left:
        config.hook.pytest_deselected(items=left)


@pytest.fixture
def run_id(request: pytest.FixtureRequest) -> str:
    """The identifier of all rows of this session."""
    return request.config.stash[RUN_ID]


@pytest.fixture
def failures(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """Rows of cases that failed, for the file."""
    return request.config.stash[FAILURES]


def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    """The machine, versions and ceilings; the host's name is left out."""
    machine_info.pop("node", None)
    device = config.option.device
    dtype = torch.bfloat16 if config.option.scale == "gpu" else torch.float32
    machine_info["davae"] = {
        "machine": machine(), "versions": versions(), "device": device, "rates_of": str(dtype),
        "matmul_flops_per_second": matmul_rate(device, dtype=dtype),
        "convolution_flops_per_second": convolution_rate(device, dtype=dtype),
        "copy_bytes_per_second": copy_rate(device),
    }  # fmt: skip


def pytest_benchmark_update_json(
    config: pytest.Config, benchmarks: list, output_json: dict[str, Any]
) -> None:
    """Keep the revision, drop the author and host that the plugin adds by default, and list what
    failed."""
    config.stash[WRITTEN] = True
    output_json["commit_info"] = revision()
    output_json["failed"] = config.stash[FAILURES]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the file although no case succeeded, where the plugin writes none."""
    path, failed = session.config.option.benchmark_json, session.config.stash[FAILURES]
    if path is None or not failed or session.config.stash[WRITTEN]:
        return
    machine_info: dict[str, Any] = {}
    pytest_benchmark_update_machine_info(session.config, machine_info)
    report: dict[str, Any] = {"machine_info": machine_info, "benchmarks": []}
    report["datetime"] = datetime.now(UTC).isoformat()
    pytest_benchmark_update_json(session.config, [], report)
    Path(path).write_text(json.dumps(report))
