"""Records and measurements."""

import pytest

from davae.core import records


def record(**changes):
    base = {
        "run_id": "r",
        "suite": "run",
        "arm": "davae",
        "key": "k",
        "preset": "nano",
        "seed": 0,
        "metric": "psnr_db",
    }
    return records.row(**{**base, "value": 1.0, **changes})


def test_records_are_appended_and_read_back(tmp_path):
    path = tmp_path / "records.jsonl"
    records.append(path, [record(value=0.1 + 0.2)])
    records.append(path, [record(metric="seconds", value=5.0)])
    frame = records.load_records(tmp_path)
    assert frame["value"].tolist() == [0.30000000000000004, 5.0]
    assert list(records.stable(frame)["metric"]) == ["psnr_db"]


def test_stable_columns_of_two_runs_are_equal(tmp_path):
    for name, run in (("a", "one"), ("b", "two")):
        rows = [
            record(run_id=run),
            record(run_id=run, metric="ssim", value=0.5),
            record(run_id=run, metric="seconds", value=hash(run) % 7),
        ]
        records.append(tmp_path / name / "records.jsonl", rows if name == "a" else rows[::-1])
    a, b = (records.stable(records.load_records(tmp_path / name)) for name in "ab")
    assert a.equals(b)


def test_records_refuse_what_they_cannot_hold(tmp_path):
    with pytest.raises(ValueError, match="finite numbers only"):
        record(value=float("nan"))
    path = tmp_path / "records.jsonl"
    records.append(path, [{**record(), "schema": 99}])
    with pytest.raises(ValueError, match="schema 99"):
        records.load_records(path)
    path.write_text("{half")
    with pytest.raises(ValueError, match="line 1 is not a record"):
        records.load_records(path)
