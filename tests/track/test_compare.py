"""Two benchmark files."""

import copy
import json

import numpy as np
import pytest
from scipy.stats import ttest_ind

from davae.cli.track import run
from davae.track.compare import compare_files, unpaired
from davae.track.margins import Limit, Margins
from davae.track.verdict import Verdict

MARGINS = Margins(Limit(0.05), {"loose": Limit(0.5)}, ())


def file_of(seconds, *, seed=0, name="test_scenario[forward]", **columns):
    """A file of one case whose rounds last about `seconds`."""
    times = seconds * np.exp(np.random.default_rng(seed).normal(0, 0.004, 10))
    about = {
        "machine": {"cpu": "c", "cores": 2, "threads": 2},
        "versions": {"torch": "2.14.1"},
        "matmul_flops_per_second": 2e11,
        "convolution_flops_per_second": 1e11,
    }
    case = {
        "name": name,
        "stats": {"data": list(times), "median": float(np.median(times))},
        "extra_info": {"params": 10, "flops_forward": 100, **columns},
    }
    return {"benchmarks": [case], "machine_info": {"davae": about}}


def verdicts(base, head):
    found, unlike = compare_files(base, head, MARGINS)
    return [comparison.verdict for comparison in found], [c.reason for c in found], unlike


def test_yuens_interval_agrees_with_scipys_test():
    random = np.random.default_rng(1)
    base, head = np.exp(random.normal(0, 0.02, 12)), np.exp(random.normal(0.02, 0.05, 9))
    change = unpaired(list(base), list(head))
    for bound in (change.low, change.high):  # where scipy's two-sided p-value is 0.02
        p = ttest_ind(np.log(head) - bound, np.log(base), equal_var=False, trim=0.2).pvalue
        assert p == pytest.approx(0.02, rel=1e-6)


def test_times_of_one_machine_are_judged_by_the_margin():
    base = file_of(1.0)
    assert verdicts(base, file_of(1.0, seed=1))[0] == [Verdict.OK]
    assert verdicts(base, file_of(1.10, seed=1))[0] == [Verdict.REGRESSION]
    assert verdicts(base, file_of(0.90, seed=1))[0] == [Verdict.OK]
    loose = (file_of(s, seed=i, name="test_scenario[loose]") for i, s in enumerate((1.0, 1.1)))
    assert verdicts(*loose)[0] == [Verdict.OK]


def test_few_rounds_do_not_hide_a_slowdown():
    base, head = file_of(1.0), file_of(2.0, seed=1)
    head["benchmarks"][0]["stats"]["data"] = [2.0, 2.01, 1.99]
    assert verdicts(base, head)[0] == [Verdict.REGRESSION]
    head["benchmarks"][0]["stats"]["data"] = [1.0, 1.4, 0.8]
    assert verdicts(base, head)[0] == [Verdict.INCONCLUSIVE]


def test_single_rounds_are_inconclusive():
    base, head = file_of(1.0), file_of(2.0)
    head["benchmarks"][0]["stats"]["data"] = [2.0]
    assert verdicts(base, head)[0] == [Verdict.INCONCLUSIVE]


def test_the_same_measurement_is_no_regression_however_it_scatters():
    loud = file_of(1.0)
    loud["benchmarks"][0]["stats"]["data"] = [1.0, 3.0, 0.5, 2.0, 9.0, 0.1, 4.0]
    assert verdicts(loud, copy.deepcopy(loud))[0] == [Verdict.OK]


def test_counts_are_compared_exactly_and_named():
    found, reasons, _ = verdicts(file_of(1.0), file_of(1.0, flops_forward=101))
    assert found == [Verdict.REGRESSION]
    assert reasons == ["flops_forward 100 -> 101"]
    found, reasons, _ = verdicts(file_of(1.0), file_of(1.0, seed=1, flops_forward=90))
    assert found == [Verdict.OK]
    assert reasons == ["flops_forward 100 -> 90"]
    found, reasons, _ = verdicts(file_of(1.0), file_of(1.0, params=11))
    assert found == [Verdict.NO_BASELINE]
    assert reasons == ["another workload: params 10 -> 11"]


def test_other_machines_and_versions_are_invalid():
    for path, value in (
        (("machine", "cpu"), "other"),
        (("versions", "torch"), "2.15.0"),
        (("matmul_flops_per_second",), 2.4e11),
    ):
        head = file_of(1.0)
        part = head["machine_info"]["davae"]
        for name in path[:-1]:
            part = part[name]
        part[path[-1]] = value
        found, _, unlike = verdicts(file_of(1.0), head)
        assert found == [Verdict.INVALID]
        assert path[-1] in unlike[0]


def test_cases_of_one_file_and_failed_ones():
    base, none = file_of(1.0), {**file_of(1.0), "benchmarks": []}
    assert verdicts(none, base)[0] == [Verdict.NO_BASELINE]
    assert verdicts(base, none)[0] == [Verdict.INVALID]
    failed = file_of(1.0, status="failed", error="out of memory")
    assert verdicts(base, failed)[:2] == ([Verdict.REGRESSION], ["fails: out of memory"])
    assert verdicts(failed, base)[0] == [Verdict.NO_BASELINE]


def test_the_command_says_it_and_exits_by_it(tmp_path, capsys):
    paths = []
    for i, seconds in enumerate((1.0, 1.1)):
        paths.append(tmp_path / f"{i}.json")
        paths[-1].write_text(json.dumps(file_of(seconds, seed=i)))
    base, head = map(str, paths)
    summary = tmp_path / "summary.md"
    assert run(["compare", base, head, "--summary", str(summary)]) == 1
    assert "| test_scenario[forward] | regression |" in capsys.readouterr().out
    assert "**regression**" in summary.read_text()
    assert run(["compare", base, base]) == 0
    changed = copy.deepcopy(file_of(1.0))
    changed["machine_info"]["davae"]["machine"]["cpu"] = "other"
    paths[1].write_text(json.dumps(changed))
    assert run(["compare", base, head]) == 4
    paths[1].write_text("[]")
    assert run(["compare", base, head]) == 2
    assert "--benchmark-json" in capsys.readouterr().err
    assert run(["compare", str(tmp_path / "nowhere.json"), base]) == 5
    other = file_of(1.0)
    del other["machine_info"]["davae"]
    paths[1].write_text(json.dumps(other))
    assert run(["compare", base, head]) == 2
    assert "another suite" in capsys.readouterr().err
