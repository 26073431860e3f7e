"""What a case reads under a clock that is known."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmarks import headline, runner
from benchmarks.runner import fits_device, largest_batch, work_of
from benchmarks.scenarios import Scenario
from benchmarks.stopwatch import Place, apart
from benchmarks.workloads import Workload
from davae.core.records import load_records
from davae.core.runtime import Runtime

CASES = '''
import pytest
from benchmarks.runner import time_workload
from benchmarks.stopwatch import Place, apart
from benchmarks.workloads import Workload
from davae.measure.timing import Clock


class Device:
    """Works on for 10 ms after a launch that takes none; the clock moves while one waits."""

    def __init__(self):
        self.now, self.pending = 0.0, 0.0

    def launch(self):
        self.pending += 0.010

    def wait(self, device):
        self.now += self.pending
        self.pending = 0.0


DEVICE = Device()
CLOCK = Clock("cpu", now=lambda: DEVICE.now, wait=DEVICE.wait)


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("batch", [1, 2, 4])
def test_case(benchmark, batch):
    built = Workload(DEVICE.launch, images=batch, params=0, tokens=0, channels=0, resolution_px=64)
    benchmark.extra_info.update(batch=batch)
    rounds = 1 if batch == 2 else 5
    time_workload(benchmark, built, CLOCK, rounds=rounds, work=lambda: {"flops_forward": 7})
'''


def test_a_known_clock_gives_known_rates(tmp_path):
    (tmp_path / "test_cases.py").write_text(CASES)
    out = tmp_path / "out.benchmark.json"
    root = Path(__file__).parents[2]
    (tmp_path / "conftest.py").write_text("from benchmarks.conftest import *")
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--benchmark-json", str(out), str(tmp_path)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(root)}, check=True, capture_output=True,
    )  # fmt: skip
    rows = load_records(out).set_index("batch")
    assert rows["img_per_s"].to_dict() == pytest.approx({1: 100.0, 2: 200.0, 4: 400.0}, rel=1e-9)
    assert rows["warmup_runs"].to_dict() == {1: 2, 2: 0, 4: 2}  # the first call warms one round
    assert (rows["median_s"] - 0.010).abs().max() < 1e-12
    assert (rows["first_call_s"] - 0.010).abs().max() < 1e-12
    in_one_line = pd.json_normalize(json.loads(out.read_text())["benchmarks"])
    assert in_one_line["extra_info.img_per_s"].tolist() == rows["img_per_s"].tolist()


def test_a_closed_form_that_is_off_is_an_error():
    scenario, (x, w) = Scenario("nano", "denoise"), (torch.zeros(4, 8), torch.zeros(8, 16))

    def work(closed):
        built = Workload(lambda: x @ w, 1, 0, 0, 0, 64, flops_closed_form=closed)
        return work_of(scenario, "cpu", built)

    assert work(1024) == work(0)
    assert work(0) == {
        "flops_forward": 2 * 4 * 8 * 16,
        "bytes_moved": 4 * (4 * 8 + 8 * 16 + 4 * 16),
        "flops_defined": 2 * 4 * 8 * 16,
    }
    with pytest.raises(ValueError, match="1024 FLOPs counted, 512 by the closed form"):
        work(512)  # multiply-adds are not FLOPs


@pytest.mark.parametrize("largest", [1, 2, 3, 100, 256, 5000])
def test_the_largest_batch_is_found_by_trying(largest):
    tried = []

    def fits(batch):
        tried.append(batch)
        return batch <= largest

    found = largest_batch(fits)
    assert found <= min(largest, 256)
    assert found >= 15 / 16 * min(largest, 256) - 1
    assert len(tried) < 25


def test_a_batch_that_runs_out_of_memory_does_not_fit(monkeypatch):
    def built(s, device):
        def run():
            if s.batch > 5:
                raise torch.OutOfMemoryError("the device is full")

        return Workload(run, s.batch, 0, 0, 0, 64)

    monkeypatch.setattr(runner, "workload", built)
    assert largest_batch(fits_device(Scenario("nano", "denoise"), "cpu")) == 5
    with pytest.raises(ValueError, match="one image does not fit"):
        largest_batch(lambda batch: False)


def test_a_forward_is_held_against_one_of_as_many_images():
    """On a GPU 2048 px are measured 2 at a time and 1024 px 10, so that the control is another."""
    cpu, gpu = Place(), Place("cuda")
    assert set(headline.beside(2048, cpu)) == {"denoise_fused_s"}
    assert set(headline.beside(1024, gpu)) == {"denoise_fused_s"}
    control = headline.beside(2048, gpu)[headline.CONTROL]
    assert (control.form, control.resolution_px, control.batch) == ("native", 1024, 2)
    values = {
        ("native 2048 px", "img_per_s"): 1.0, ("widened 2048 px", "img_per_s"): 6.0,
        ("native 1024 px", "denoise_s"): 4.0, ("widened 2048 px", "denoise_s"): 6.0,
        ("widened 2048 px", "denoise_fused_s"): 5.5,
    }  # fmt: skip
    rows = [{"arm": arm, "metric": m, "value": v} for (arm, m), v in values.items()]
    assert "takes 1.500 times" in headline.measurements(rows, cpu)
    assert "times that of the native" not in headline.measurements(rows, gpu)
    own = {"arm": "widened 2048 px", "metric": headline.CONTROL, "value": 5.0}
    assert "takes 1.200 times" in headline.measurements([*rows, own], gpu)


def test_full_size_on_a_cpu_is_measured_in_a_process_of_its_own():
    """Stand-ins and GPUs, whose memory is given back, in this one."""
    runtime = Runtime()
    assert apart(Place(), runtime, os.getpid) != os.getpid()
    for here in (Place(small=True), Place("cuda")):
        assert apart(here, runtime, os.getpid) == os.getpid()
