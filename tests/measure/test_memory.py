"""Peaks of memory."""

import subprocess
import sys

import pytest
import torch

from davae.measure import memory

MIB = 2**20


PROGRAM = """
import torch
from davae.measure.memory import peak_of
for count in (2**18, 2**26, 2**18):
    peak, total = peak_of(lambda: torch.ones(count).sum())
    print(peak.bytes, peak.of.replace(" ", "_"), int(total))
"""


def test_a_peak_is_of_the_run_alone():
    """In a process of its own: memory that an allocator keeps from before is no growth."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True)
    lines = [line.split() for line in done.stdout.decode().splitlines()]
    if lines[0][1] != "process":
        pytest.skip("this system starts no peak anew: /proc/self/clear_refs cannot be written")
    small, large, again = (int(line[0]) for line in lines)
    assert 200 * MIB < large - small < 400 * MIB  # 256 MiB of floats
    assert again < large - 200 * MIB


def test_a_peak_that_can_not_be_started_anew_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "RESET", tmp_path / "not" / "there")
    assert memory.peak_of(lambda: None)[0].of == "process since its start"


def test_a_gpu_is_asked_for_its_allocator(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: calls.append("wait"))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: calls.append("reset"))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 7)
    peak, result = memory.peak_of(lambda: calls.append("run") or "result", "cuda:0")
    assert (peak, result) == (memory.Peak(7, "allocator"), "result")
    assert calls == ["wait", "reset", "run", "wait"]
