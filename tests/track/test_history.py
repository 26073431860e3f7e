"""Steps in a history of benchmark files."""

import json

import numpy as np
import pandas as pd
import pytest

from davae.track.history import change_points, read_history, steps


def write(folder, day, seconds, rate=2e11, sha="0", ceiling="matmul", convolution=5e11):
    report = {
        "datetime": f"2026-01-{day:02d}T00:00:00+00:00",
        "commit_info": {"git_sha": sha, "git_dirty": False},
        "machine_info": {
            "davae": {
                "matmul_flops_per_second": rate,
                "convolution_flops_per_second": convolution,
            }
        },
        "benchmarks": [
            {"name": "case", "stats": {"median": seconds}, "extra_info": {"ceiling": ceiling}}
        ],
    }
    (folder / f"{day:02d}.json").write_text(json.dumps(report))


def test_a_step_is_found_at_its_revision(tmp_path):
    noise = np.exp(np.random.default_rng(0).normal(0, 0.01, 20))
    for day in range(20):
        write(tmp_path, day + 1, noise[day] * (1.0 if day < 12 else 1.1), sha=f"{day}")
    [step] = steps(read_history(tmp_path), least=0.05)
    assert (step.case, step.revision) == ("case", "12")
    assert step.factor == pytest.approx(1.1, rel=0.02)
    assert steps(read_history(tmp_path), least=0.2) == []


def test_a_slower_host_is_no_step(tmp_path):
    for day in range(10):
        slower = day >= 5
        write(tmp_path, day + 1, 2.0 if slower else 1.0, rate=1e11 if slower else 2e11)
    history = read_history(tmp_path)
    assert history["cost"].nunique() == 1
    assert steps(history, least=0.05) == []


def test_what_convolves_is_held_against_convolutions(tmp_path):
    """A host whose convolutions are twice as fast and whose products are as before."""
    for day in range(10):
        faster = day >= 5
        seconds, rate = (0.5, 1e12) if faster else (1.0, 5e11)
        write(tmp_path, day + 1, seconds, ceiling="convolution", convolution=rate)
    assert steps(read_history(tmp_path), least=0.05) == []


def history_of(values):
    return pd.DataFrame({"case": "c", "git_sha": [str(i) for i in range(len(values))],
                         "cost": values})  # fmt: skip


@pytest.mark.parametrize("factor", [1.2, 1.5, 3.0])
@pytest.mark.parametrize("at", [1, 7, 18, 19])
def test_one_slow_point_is_an_outlier(factor, at):
    for seed in range(5):
        values = np.exp(np.random.default_rng(seed).normal(0, 0.01, 20))
        values[at] *= factor
        assert steps(history_of(values), least=0.05) == []
    assert change_points(np.exp(np.random.default_rng(2).normal(0, 0.01, 40))) == []
    assert change_points([1.0, 2.0, 2.0]) == []


def test_a_step_that_was_mended_does_not_last():
    values = np.exp(np.random.default_rng(0).normal(0, 0.005, 30))
    values[10:20] *= 1.3
    slower, mended = steps(history_of(values), least=0.05)
    assert (slower.revision, slower.ago, slower.lasts) == ("10", 20, False)
    assert (mended.revision, mended.factor < 1) == ("20", True)


def test_files_without_a_reference_are_named(tmp_path):
    with pytest.raises(ValueError, match="no benchmark files"):
        read_history(tmp_path)
    write(tmp_path, 1, 1.0)
    report = json.loads((tmp_path / "01.json").read_text())
    del report["machine_info"]["davae"]
    (tmp_path / "01.json").write_text(json.dumps(report))
    with pytest.raises(ValueError, match="no rate of the reference"):
        read_history(tmp_path)
