"""Arms in processes of their own: the same records, failures that stop nobody, kills that lose
nothing."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from ablations.__main__ import say_results
from ablations._load import load
from davae.core import records
from davae.core.presets import PRESETS
from davae.core.runtime import Runtime
from davae.core.store import Store
from davae.stages.stage import Pipeline
from davae.sweep.dry_run import dry_run
from davae.sweep.execute import run_sweeps
from davae.sweep.launch import here, in_processes, log_name, on_ray, tasks_of
from davae.sweep.report import report
from davae.sweep.sweep import Sweep, named
from tests.sweep.running import TOY, run, sweep

ROOT = Path(__file__).parents[2]


def processes(out, jobs=2):
    return partial(in_processes, store=out / "store", runtime=Runtime(), jobs=jobs)


def test_processes_record_what_one_process_does(tmp_path):
    apart = run(tmp_path / "a", processes(tmp_path / "a"), seeds=(0,))
    alone = run(tmp_path / "b", seeds=(0,))
    pd.testing.assert_frame_equal(records.stable(apart), records.stable(alone))
    folder = sweep(tmp_path / "a").folder
    assert len(list((folder / "logs").iterdir())) == 2
    assert (folder / "table.md").read_text() == (
        sweep(tmp_path / "b").folder / "table.md"
    ).read_text()
    assert tasks_of(sweep(tmp_path / "a", (0,))) == []


def test_arms_have_logs_of_their_own():
    names = ["a b", "a/b", "a_b", "x" * 120, "x" * 121, "level 1"]
    logs = [log_name(SimpleNamespace(arm=name, seed=0)) for name in names]
    assert len(set(logs)) == len(names)
    assert log_name(SimpleNamespace(arm="a_b", seed=3)) == "a_b.seed3.log"


def test_arms_that_fail_in_any_way_stop_no_other(tmp_path, monkeypatch):
    monkeypatch.setenv("TOY_LEVELS", "6 7 8 9 5 1")
    frame = run(tmp_path, processes(tmp_path), seeds=(0,))
    assert list(frame.loc[frame["status"] == "ok", "arm"]) == ["level 1"]
    errors = frame[frame["status"] == "failed"].set_index("arm")["error"]
    assert len(errors) == 5
    assert errors["level 6"] == "RuntimeError: shapes 2 x 3\nand 4 x 5\n(see the docs)"
    assert errors["level 5"] == "KeyError: 'a mistake'"
    assert "FloatingPointError: the loss is nan" in errors["level 7"]
    assert "No space left on device" in errors["level 8"]
    assert "its process ended with 9" in errors["level 9"]
    text = (sweep(tmp_path).folder / "table.md").read_text()
    assert all(f"Failed: level {level}, seed 0" in text for level in (7, 8, 9))


def test_a_full_disk_that_takes_no_record_either_stops_no_other(tmp_path, monkeypatch, capsys):
    append = records.append

    def full(path, rows):
        rows = list(rows)
        if rows[0]["arm"] == "level 1":
            raise OSError(28, "No space left on device")
        append(path, rows)

    monkeypatch.setattr(records, "append", full)
    one = sweep(tmp_path, (0,))
    failed = run_sweeps([one], partial(here, pipeline=Pipeline.at(tmp_path / "store", Runtime())))
    assert list(records.load_records(one.file)["arm"]) == ["level 2"]
    assert "could not be recorded: [Errno 28]" in capsys.readouterr().out
    assert failed == 1
    with pytest.raises(ValueError, match="1 arms failed"):
        say_results([one], failed)
    monkeypatch.setattr(records, "append", append)
    assert set(run(tmp_path, seeds=(0,))["arm"]) == {"level 1", "level 2"}


def test_an_arm_that_was_left_out_is_said(tmp_path):
    one = replace(sweep(tmp_path), names=("level 1",))
    run_sweeps([one], partial(here, pipeline=Pipeline.at(tmp_path / "store", Runtime())))
    assert "Not run: level 2 (seeds 0, 1)." in (one.folder / "table.md").read_text()
    run(tmp_path)
    assert "Not run" not in (one.folder / "table.md").read_text()


def test_a_mistake_in_one_process_is_an_arms_failure_as_in_several(tmp_path, monkeypatch):
    monkeypatch.setenv("TOY_LEVELS", "5 1")
    frame = run(tmp_path, seeds=(0,))
    assert list(frame["status"]) == ["failed", "ok"]
    assert frame["error"][0] == "KeyError: 'a mistake'"


def test_seeds_that_are_not_asked_for_are_said_and_not_shown(tmp_path):
    run(tmp_path, seeds=(0, 1, 2))
    run(tmp_path, seeds=(0, 1))
    folder = sweep(tmp_path).folder
    assert list(pd.read_csv(folder / "table.csv")["seeds"]) == [2, 2]
    text = (folder / "table.md").read_text()
    assert "seeds that were not asked for: level 1, level 2 (seeds 2)" in text


def test_an_arm_of_the_others_that_failed_before_is_no_failure_of_those_named(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("TOY_LEVELS", "1 7")
    run(tmp_path, seeds=(0,))
    say_results([replace(sweep(tmp_path, (0,)), names=("level 1",))], 0)
    with pytest.raises(ValueError, match="1 arms failed"):
        say_results([sweep(tmp_path, (0,))], 0)


def test_a_table_of_before_does_not_stay_where_nothing_is_as_it_was(tmp_path, monkeypatch):
    run(tmp_path, seeds=(0,))
    folder = sweep(tmp_path).folder
    monkeypatch.setenv("TOY_LEVELS", "7")
    with pytest.raises(ValueError, match="every arm failed; the first error: FloatingPointError"):
        run(tmp_path, seeds=(0,))
    assert not list(folder.glob("*.csv"))
    assert not list(folder.glob("*.svg"))
    text = (folder / "table.md").read_text()
    assert "Failed: level 7, seed 0" in text
    assert "of other settings or versions: level 1, level 2 (seeds 0)" in text


def test_arms_of_the_same_seeds_are_named_together_and_many_counted():
    assert named({"a": [0, 1], "b": [2], "c": [0, 1]}) == ["a, c (seeds 0, 1)", "b (seeds 2)"]
    many = named({str(arm): [0] for arm in range(9)})
    assert many == ["0, 1, 2, 3, 4, 5 and 3 more (seeds 0)"]


def command(out, **environment):
    words = [sys.executable, "-m", "ablations", TOY, "--preset", "nano", "--seeds", "0", "1", "2"]
    words += ["--out", str(out), "--store", str(out / "store")]
    return subprocess.Popen(
        words, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def test_a_killed_sweep_goes_on_to_the_same_records(tmp_path):
    file = sweep(tmp_path).folder / "records.jsonl"
    killed = command(tmp_path, TOY_SECONDS="1")
    end = time.monotonic() + 120
    while not file.exists() and time.monotonic() < end:
        time.sleep(0.1)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert 0 < len(records.load_records(file)) < 6
    said = command(tmp_path)
    assert "Records, tables and figures" in said.communicate()[0]
    assert said.returncode == 0
    whole = run(tmp_path / "undisturbed", seeds=(0, 1, 2))
    found = records.load_records(file)
    pd.testing.assert_frame_equal(records.stable(found), records.stable(whole))


def test_a_changed_arm_a_raised_version_and_a_change_back_never_mix(tmp_path, monkeypatch):
    def shown():
        table = pd.read_csv(sweep(tmp_path).folder / "table.csv")
        return dict(zip(table["arm"], table["value"].round(), strict=True))

    first = run(tmp_path)
    monkeypatch.setenv("TOY_LEVELS", "1 3")
    changed = run(tmp_path)
    assert len(changed) == len(first) + 2  # level 1 is recorded already
    assert shown() == {"level 1": 1, "level 3": 3}
    text = (sweep(tmp_path).folder / "table.md").read_text()
    assert "Not shown, of other settings or versions: level 2 (seeds 0, 1)." in text
    monkeypatch.setenv("TOY_LEVELS", "1 2")
    assert len(run(tmp_path)) == len(changed)  # changed back: nothing is run again
    assert shown() == {"level 1": 1, "level 2": 2}
    monkeypatch.setenv("TOY_VERSION", "2")
    assert len(run(tmp_path, seeds=(0,))) == len(changed) + 2
    table = pd.read_csv(sweep(tmp_path).folder / "table.csv").set_index("arm")
    assert table.loc["level 1", "seeds"] == 1  # the second seed's row is of the version before
    monkeypatch.setenv("TOY_VERSION", "1")
    assert len(run(tmp_path)) == len(changed) + 2  # lowered again: nothing is run
    table = pd.read_csv(sweep(tmp_path).folder / "table.csv").set_index("arm")
    assert table.loc["level 1", "seeds"] == 2


def test_an_arm_that_changes_under_its_name_is_another(tmp_path, monkeypatch):
    def shown():
        table = pd.read_csv(sweep(tmp_path).folder / "table.csv").set_index("arm")
        return {arm: (round(row["value"]), row["seeds"]) for arm, row in table.iterrows()}

    first = run(tmp_path)
    before = shown()
    monkeypatch.setenv("TOY_SHIFT", "10")
    assert len(run(tmp_path, seeds=(0,))) == len(first) + 2
    assert shown() == {"level 1": (11, 1), "level 2": (12, 1)}
    monkeypatch.delenv("TOY_SHIFT")
    assert len(run(tmp_path)) == len(first) + 2
    assert shown() == before == {"level 1": (1, 2), "level 2": (2, 2)}


def test_a_claim_of_an_arm_that_is_not_declared_is_said_before_anything_runs(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("TOY_LEVELS", "1 3")
    run(tmp_path, seeds=(0,))
    said = "the claim '2 is more than 1' will not be judged: no arm is called level 2"
    assert f"{said}. Its arms: level 1; level 3" in capsys.readouterr().out
    assert said in dry_run([sweep(tmp_path, (0, 1))], Store(tmp_path / "store"), Runtime())
    text = (sweep(tmp_path).folder / "table.md").read_text()
    assert "Not judged, for no arm declared here is called level 2: 2 is more than 1" in text


def test_an_arm_that_failed_after_a_change_is_said_and_one_that_is_gone_is_not(
    tmp_path, monkeypatch
):
    run(tmp_path, seeds=(0,))
    monkeypatch.setenv("TOY_LEVELS", "1 7")
    run(tmp_path, seeds=(0,))
    assert list(sweep(tmp_path, (0,)).rows().failed["arm"]) == ["level 7"]
    monkeypatch.setenv("TOY_LEVELS", "1 2")
    assert sweep(tmp_path, (0,)).rows().failed.empty


def test_arms_without_a_seed_in_common_stop_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("TOY_LEVELS", "1")
    run(tmp_path, seeds=(0,))
    monkeypatch.setenv("TOY_LEVELS", "1 2")
    one = Sweep(partial(load, TOY), PRESETS["nano"], "nano", (1,), tmp_path, ("level 2",))
    run_sweeps([one], partial(here, pipeline=Pipeline.at(tmp_path / "store", Runtime())))
    report(sweep(tmp_path))  # of both seeds
    assert "for want of a seed with value of both arms" in (one.folder / "table.md").read_text()


def test_another_base_seed_has_a_folder_of_its_own(tmp_path):
    one = Sweep(partial(load, TOY), replace(PRESETS["nano"], base_seed=1), "nano", (0,), tmp_path)
    run_sweeps([one], partial(here, pipeline=Pipeline.at(tmp_path / "store", Runtime())))
    assert one.folder.name == "toy-base1"
    assert set(records.load_records(one.file)["base_seed"]) == {1}


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_ray_records_what_one_process_does(tmp_path, monkeypatch):
    import ray

    monkeypatch.setenv("TOY_LEVELS", "1 2 7 9")
    try:
        launch = partial(on_ray, store=tmp_path / "store", runtime=Runtime(), jobs=2)
        frame = run(tmp_path, launch, seeds=(0,))
    finally:
        ray.shutdown()
    assert sorted(frame.loc[frame["status"] == "ok", "arm"]) == ["level 1", "level 2"]
    errors = frame[frame["status"] == "failed"].set_index("arm")["error"]
    assert "the loss is nan" in errors["level 7"]
    assert "its worker ended" in errors["level 9"]
