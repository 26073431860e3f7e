"""Changes of the DiT that a reviewer may miss, found by counters without a clock."""

import json

import pytest
import torch

from benchmarks.counters import counted
from benchmarks.scenarios import named
from davae.models import dit_blocks
from davae.models.dit import DiT
from davae.track.counters import compare
from davae.track.verdict import Verdict
from davae.train.ema import EMA

SAMPLE, TRAIN = "nano-widened-sample-b16", "nano-widened-train-b16"


def counters_of(case):
    """The counters of a case, as they are kept in a file."""
    return json.loads(
        json.dumps({"torch": torch.__version__, "cases": {case: counted(named(case))}})
    )


@pytest.fixture(scope="module")
def before():
    return {case: counters_of(case) for case in (SAMPLE, TRAIN)}


def stray_copy(monkeypatch):
    attend = dit_blocks.Attention.forward

    def forward(self, x, cos, sin):
        return attend(self, x.transpose(1, 2).contiguous().transpose(1, 2), cos, sin)

    monkeypatch.setattr(dit_blocks.Attention, "forward", forward)


def cast(monkeypatch):
    gate = dit_blocks.SwiGLU.forward
    monkeypatch.setattr(
        dit_blocks.SwiGLU, "forward", lambda self, x: gate(self, x.bfloat16().float())
    )


def forward_too_many(monkeypatch):
    velocity = DiT.velocity

    def twice(self, x, time, label):
        velocity(self, x, time, label)
        return velocity(self, x, time, label)

    monkeypatch.setattr(DiT, "velocity", twice)


def lost_in_place(monkeypatch):
    def update(self, step):
        decay = min(self.decay, (1 + step) / (10 + step))
        with torch.no_grad():
            self.average = [
                average.lerp(p.detach(), 1 - decay)
                for average, p in zip(self.average, self.parameters, strict=True)
            ]

    monkeypatch.setattr(EMA, "update", update)


@pytest.mark.parametrize(
    ("inject", "case", "operator"),
    [
        (stray_copy, SAMPLE, "aten.clone"),
        (cast, SAMPLE, "aten._to_copy"),
        (forward_too_many, SAMPLE, "aten.addmm"),
        (lost_in_place, TRAIN, "aten.lerp"),
    ],
)
def test_an_injected_change_fails_by_case_operator_and_count(
    before, monkeypatch, inject, case, operator
):
    assert compare(before[case], counters_of(case)) == (Verdict.OK, [])
    inject(monkeypatch)
    verdict, reasons = compare(before[case], counters_of(case))
    assert verdict == Verdict.REGRESSION
    [named_operator] = [r for r in reasons if r.startswith(f"{case}: calls: {operator} ")]
    change = named_operator.rpartition("(")[2].rstrip(")")
    assert int(change.replace(",", "")) > 0
