"""Peaks of memory."""

import pytest
import torch

from davae.measure import memory

MIB = 2**20


def test_a_peak_is_of_the_run_alone():
    small, _ = memory.peak_of(lambda: torch.ones(MIB // 4).sum())
    if small.of != "process":
        pytest.skip("this system starts no peak anew: /proc/self/clear_refs cannot be written")
    large, total = memory.peak_of(lambda: torch.ones(64 * MIB).sum())
    assert total == 64 * MIB
    assert 200 * MIB < large.bytes - small.bytes < 400 * MIB  # 256 MiB of floats
    again, _ = memory.peak_of(lambda: torch.ones(MIB // 4).sum())
    assert again.bytes < large.bytes - 200 * MIB


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
