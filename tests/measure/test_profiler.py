"""Traces, and time by group."""

import json
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
import torch

from davae.measure.counters import GROUPS
from davae.measure.profiler import profile_run
from tests.measure.test_counters import Block


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """(log folder, profile) of a block with an attention, an MLP, a convolution and a norm."""
    top = tmp_path_factory.mktemp("profile")
    block, x = Block(), torch.zeros(64, 2, 4)
    run = torch.no_grad()(lambda: block(x))
    return top, profile_run(run, top / "block", networks=(block,), worker="block")


def test_every_group_has_its_time_and_its_calls(traced):
    _, found = traced
    assert [group.group for group in found.groups] == list(GROUPS)
    by = {group.group: group for group in found.groups}
    for group in ("attention", "mlp", "linear", "conv", "norm", "elementwise"):
        assert by[group].seconds > 0, group
        assert by[group].calls > 0, group
    assert by["mlp"].calls == 2
    assert found.flops > 0


def test_time_goes_to_what_takes_it(tmp_path):
    conv, x = torch.nn.Conv2d(64, 64, 3, padding=1), torch.zeros(4, 64, 64, 64)
    found = profile_run(torch.no_grad()(lambda: conv(x).relu()), tmp_path)
    by = {group.group: group.seconds for group in found.groups}
    assert by["conv"] > 0.7 * sum(by.values())


def test_gradients_belong_to_the_module_of_their_forward(tmp_path):
    class Wide(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.mlp = torch.nn.Linear(512, 512)

        def forward(self, x):
            return self.mlp(x) * 2

    network, x = Wide(), torch.zeros(256, 512, requires_grad=True)
    run = lambda: network(x).sum().backward()  # noqa: E731
    by = {g.group: g for g in profile_run(run, tmp_path, networks=(network,)).groups}
    assert (by["mlp"].calls, by["linear"].calls) == (3, 0)
    assert by["linear"].seconds < 0.01 * by["mlp"].seconds


def test_the_trace_is_one_that_perfetto_reads(traced):
    _, found = traced
    events = json.loads(found.trace.read_text())["traceEvents"]
    names = {event["name"] for event in events if event.get("ph") == "X"}
    assert {"aten::addmm", "davae/attention", "davae/mlp"} <= names


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_tensorboards_plugin_lists_the_run(traced):
    top, _ = traced
    port = free_port()
    command = [
        sys.executable, "-m", "tensorboard.main", "--logdir", str(top), "--host", "127.0.0.1",
        "--port", str(port), "--load_fast", "false",
    ]  # fmt: skip
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    address = f"http://127.0.0.1:{port}/data/plugin/pytorch_profiler/runs"
    try:
        runs, end = [], time.monotonic() + 90
        while not runs and time.monotonic() < end:
            assert server.poll() is None, server.stderr.read().decode()[-500:]
            try:
                with urllib.request.urlopen(address, timeout=5) as answer:
                    runs = json.loads(answer.read())["runs"]
            except OSError:
                time.sleep(0.5)
            else:
                time.sleep(0 if runs else 0.5)
        assert runs == ["block"]
        worker = (
            f"http://127.0.0.1:{port}/data/plugin/pytorch_profiler/workers?run=block&view=Overview"
        )
        with urllib.request.urlopen(worker, timeout=20) as answer:
            assert json.loads(answer.read()) == ["block"]
    finally:
        server.terminate()
        server.wait(10)
