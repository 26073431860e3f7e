"""Records and measurements."""

import os
from pathlib import Path

import pytest

from davae import load_records
from davae.core import records
from davae.core.records import Measurement


def record(**changes):
    base = {
        "run_id": "r",
        "suite": "run",
        "arm": "davae",
        "key": "k",
        "preset": "nano",
        "seed": 0,
        "metric": "psnr_db",
        "protocol": "p",
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
    path.write_text("{half\n")
    with pytest.raises(ValueError, match="line 1 is not a record"):
        records.load_records(path)


def test_every_committed_record_is_read():
    results = Path(__file__).parents[2] / "results"
    frame = load_records(str(results))
    assert {"run", "ablation", "benchmarks", "headline"} == set(frame["suite"])
    assert len(records.stable(frame)) < len(frame)
    files = results.glob("*/*/ablations/*/records.jsonl")
    folders = {path.parent.name.partition("-base")[0] for path in files}
    assert "latent_structure" in folders
    assert set(frame.loc[frame["suite"] == "ablation", "ablation"]) == folders


def test_rows_of_schema_1_name_their_ablation_in_a_column(tmp_path):
    old = {**record(suite="ablation/align_weight", arm="a"), "schema": 1}
    records.append(tmp_path / "records.jsonl", [old])
    row = records.load_records(tmp_path).iloc[0]
    assert (row["suite"], row["ablation"]) == ("ablation", "align_weight")


def test_other_files_are_passed_over_and_absent_ones_are_not(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 0, "loss": 1.0}\n')
    (tmp_path / "config.json").write_text('{"_class_name": "DiT"}')
    records.append(tmp_path / "deep" / "records.jsonl", [record()])
    assert len(records.load_records(str(tmp_path))) == 1
    for name, message in (
        ("log.jsonl", "line 1 is not a record"),
        ("config.json", "no file of rec"),
    ):
        with pytest.raises(ValueError, match=message):
            records.load_records(tmp_path / name)
    with pytest.raises(ValueError, match="none is not there"):
        records.load_records(tmp_path / "none")


def test_a_measurement_comes_back_from_its_columns():
    m = Measurement("fd", 2.5, 10, 2.0, 3.0, higher_is_better=False, protocol="p", note="few")
    assert Measurement.of_columns(m.columns()) == m
    old = {k: v for k, v in m.columns().items() if k not in ("low", "high", "note")}
    assert Measurement.of_columns(old) == Measurement("fd", 2.5, 10, None, None, False, "p")


def test_the_latest_rows_are_those_of_the_last_key_under_every_protocol(tmp_path):
    rows = [
        record(key="old", protocol="p", value=1.0),
        record(key="new", protocol="p", value=2.0),
        record(key="new", protocol="q", value=3.0),
        record(key="new", protocol="p", value=4.0),
    ]
    records.append(tmp_path / "records.jsonl", rows)
    frame = records.latest(records.load_records(tmp_path))
    assert list(frame["value"]) == [3.0, 4.0]


def test_base_seeds_are_kept_apart_and_recipes_are_not_mixed(tmp_path):
    rows = [
        record(arm="a", key="k0", recipe="old", seed=0, value=1.0),
        record(arm="a", key="k1", recipe="old", seed=1, value=2.0),
        record(arm="a", key="k2", recipe="new", seed=0, value=3.0),
        record(arm="a", key="k3", recipe="new", seed=0, base_seed=1, value=4.0),
    ]
    records.append(tmp_path / "records.jsonl", rows)
    kept = records.latest(records.load_records(tmp_path))
    assert sorted(kept["value"]) == [3.0, 4.0]  # seed 1 is of an older recipe


def test_half_a_line_is_passed_over_and_taken_off_by_the_next_append(tmp_path):
    path = tmp_path / "records.jsonl"
    rows = [
        records.row(
            run_id="r", suite="run", arm=arm, key="k", preset="p", seed=0, metric="m", value=1.0
        )
        for arm in "ab"
    ]
    records.append(path, rows[:1])
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 2])
    assert list(records.load_records(path)["arm"]) == ["a"]
    records.append(path, rows[1:])
    assert list(records.load_records(path)["arm"]) == ["a", "b"]


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "records.jsonl"
    row = records.row(run_id="r", suite="run", arm="a", key="k", preset="p", seed=0)
    records.append(path, [row])
    before = path.read_bytes()
    monkeypatch.setattr(records, "whole_size", lambda p: len(before))

    class Full:
        def __init__(self, *_, **__):
            self.file = os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND), "ab", 0)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def truncate(self, size):
            self.file.truncate(size)

        def write(self, content):
            self.file.write(content[:7])
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(path), "open", Full)
    with pytest.raises(OSError, match="No space left"):
        records.append(path, [row])
    monkeypatch.undo()
    assert path.read_bytes() == before
