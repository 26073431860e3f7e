"""Counters of two revisions."""

import copy

from davae.track.counters import compare
from davae.track.verdict import Verdict

BEFORE = {
    "torch": "2.14.1",
    "cases": {
        "denoise": {"calls": {"aten.mm": 4}, "groups": {"linear": 4, "copy": 0}, "flops": 100}
    },
}


def changed(**counters):
    after = copy.deepcopy(BEFORE)
    after["cases"]["denoise"].update(counters)
    return after


def test_equal_counters_are_ok():
    assert compare(BEFORE, copy.deepcopy(BEFORE)) == (Verdict.OK, [])


def test_a_difference_names_case_operator_and_count():
    after = changed(calls={"aten.mm": 4, "aten.clone": 2}, groups={"linear": 4, "copy": 2})
    verdict, reasons = compare(BEFORE, after)
    assert verdict == Verdict.REGRESSION
    assert reasons == [
        "denoise: calls: aten.clone 0 -> 2 (+2)", "denoise: groups: copy 0 -> 2 (+2)",
    ]  # fmt: skip
    fewer, reasons = compare(BEFORE, changed(flops=50))
    assert (fewer, reasons) == (Verdict.REGRESSION, ["denoise: flops 100 -> 50 (-50)"])


def test_other_versions_and_new_cases_are_told_apart():
    assert compare(BEFORE, {**BEFORE, "torch": "2.15.0"})[0] == Verdict.INVALID
    after = copy.deepcopy(BEFORE)
    after["cases"]["decode"] = {"flops": 1}
    assert compare(BEFORE, after) == (Verdict.NO_BASELINE, ["decode: not counted before"])
