"""Records of what was declared otherwise, files that change, and arms that cannot be declared."""

import json
import multiprocessing
import os
import pickle
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from ablations.__main__ import recorded
from ablations._load import Loaded, load
from davae.core import records
from davae.core.runtime import Runtime
from davae.stages.stage import Pipeline
from davae.sweep.dry_run import dry_run
from davae.sweep.execute import run_sweeps
from davae.sweep.launch import die_with, drawing, here, tasks_of
from davae.sweep.report import report
from tests.sweep.running import TOY, run, sweep


def test_rows_of_another_ablation_with_the_same_arms_are_said_and_not_mixed_in(tmp_path):
    run(tmp_path, seeds=(0,))
    one = sweep(tmp_path, (0,))
    before = pd.read_csv(one.folder / "table.csv")
    rows = [json.loads(line) for line in one.file.read_text().splitlines()]
    records.append(one.file, [{**r, "ablation": "other", "value": 99.0} for r in rows])
    records.append(one.file, [{**r, "preset": "smoke", "value": 99.0} for r in rows])
    report(one)
    pd.testing.assert_frame_equal(pd.read_csv(one.folder / "table.csv"), before)
    text = (one.folder / "table.md").read_text()
    assert "of other settings or versions: 4 rows of other ablations or presets." in text


def test_arms_may_have_base_models_of_a_seed_of_their_own(tmp_path):
    toy = load(TOY)

    def arms(base):
        of_seed = replace(base, base_seed=base.seed)
        return tuple(
            replace(arm, experiment=replace(arm.experiment, base_seed=of_seed.base_seed))
            for arm in toy.arms(of_seed)
        )

    one = replace(sweep(tmp_path, (0, 1)), load=lambda: replace(toy, arms=arms))
    run_sweeps([one], partial(here, pipeline=Pipeline.at(tmp_path / "store", Runtime())))
    assert set(one.rows().measured["base_seed"]) == {0, 1}
    assert one.rows().left == []


def test_an_arm_of_which_not_all_rows_were_written_is_measured_again(tmp_path, monkeypatch):
    toy, two = load(TOY), ("value", "again")
    monkeypatch.setenv("TOY_METRICS", " ".join(two))
    one = replace(sweep(tmp_path, (0,)), load=lambda: replace(toy, metrics=dict.fromkeys(two, "v")))
    launch = partial(here, pipeline=Pipeline.at(tmp_path / "store", Runtime()))
    run_sweeps([one], launch)
    whole = one.file.read_text()
    expected = records.stable(records.load_records(one.file))
    lines = whole.splitlines(keepends=True)
    assert len(lines) == 4
    one.file.write_text("".join(lines[:3]) + lines[3][:40])  # the second arm's second row is torn
    assert [task.arm for task in tasks_of(one)] == ["level 2"]
    run_sweeps([one], launch)
    assert tasks_of(one) == []
    shown = one.rows().measured
    pd.testing.assert_frame_equal(records.stable(shown), expected)


def test_a_file_is_read_once_by_its_sweep(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(Path(TOY).read_text())
    loaded = Loaded(str(file))
    first = loaded()
    file.write_text("a mistake")
    assert loaded() is first
    assert pickle.loads(pickle.dumps(loaded)).found is None  # another process reads it anew


def test_an_arm_that_was_declared_anew_since_is_not_run(tmp_path, monkeypatch):
    one = sweep(tmp_path, (0,))
    task = tasks_of(one)[0]
    monkeypatch.setenv("TOY_VERSION", "2")  # as another process would read its file
    error = task.perform(Pipeline.at(tmp_path / "store", Runtime()))
    assert "declared anew since the sweep started: start it again" in error
    assert list(records.load_records(one.file)["status"]) == ["failed"]


@pytest.mark.parametrize("level", ["4", "4.5"])
def test_whatever_a_users_file_raises_is_an_arms_failure(tmp_path, monkeypatch, level):
    monkeypatch.setenv("TOY_LEVELS", f"{level} 1")
    frame = run(tmp_path, seeds=(0,))
    assert list(frame["status"]) == ["failed", "ok"]
    assert frame["error"][0] == {"4": "Own: stop", "4.5": "SystemExit: 0"}[level]


def test_an_arm_that_cannot_be_built_is_a_failure_and_said_before(tmp_path, monkeypatch):
    def stages(self):
        raise KeyError("no such setting")

    toy = load(TOY)

    def arms(base):
        wrong, right = toy.arms(base)
        return type("Wrong", (type(wrong),), {"stages": stages})(**vars(wrong)), right

    one = replace(sweep(tmp_path, (0,)), load=lambda: replace(toy, arms=arms))
    pipeline = Pipeline.at(tmp_path / "store", Runtime())
    said = dry_run([one], pipeline.store, Runtime())
    assert "Cannot be built: level 1, seed 0: 'no such setting'" in said
    assert "Stages to run: toy 1." in said
    run_sweeps([one], partial(here, pipeline=pipeline))
    assert list(records.load_records(one.file)["status"]) == ["failed", "ok"]
    assert "Recorded already: 1 of 2 arms" in dry_run([one], pipeline.store, Runtime())


def test_records_are_drawn_again_and_nothing_is_run(tmp_path):
    run(tmp_path, seeds=(0,))
    one = sweep(tmp_path, (0, 1))
    before = one.file.read_text()
    for path in (*one.folder.glob("table.*"), *one.folder.glob("figure.*")):
        path.unlink()
    assert run_sweeps([one], drawing) == 0
    assert one.file.read_text() == before
    assert (one.folder / "figure.svg").exists()
    assert "Not run: level 1, level 2 (seeds 1)" in (one.folder / "table.md").read_text()
    other = sweep(tmp_path / "none")
    assert recorded([one, other], (0, 1)) == ([one], [])
    with pytest.raises(ValueError, match=r"no records to draw: no .*records\.jsonl"):
        recorded([other])


def test_what_is_drawn_without_naming_seeds_is_what_is_recorded(tmp_path, monkeypatch):
    run(tmp_path, seeds=(0, 3))
    one = sweep(tmp_path, (0,))
    [drawn], _ = recorded([one])
    assert drawn.seeds == (0, 3)
    assert recorded([one], (1,))[0][0].seeds == (0,)  # asked for: as they are
    monkeypatch.setenv("TOY_VERSION", "2")
    assert one.as_recorded() == one  # those are of before
    run(tmp_path, seeds=(4,))
    assert one.as_recorded().seeds == (4,)


def test_tables_of_records_of_before_are_not_taken_away_by_drawing(tmp_path, monkeypatch):
    run(tmp_path, seeds=(0,))
    monkeypatch.setenv("TOY_VERSION", "2")
    run(tmp_path / "other", seeds=(0,))
    stale, fresh = sweep(tmp_path, (0,)), sweep(tmp_path / "other", (0,))
    with pytest.raises(
        ValueError, match=r"is left as it is: none of its records has values of these arms"
    ):
        recorded([stale])
    drawn, said = recorded([stale, fresh])
    assert drawn == [fresh]
    assert len(said) == 1
    assert (stale.folder / "table.csv").exists()


def test_two_arms_of_one_name_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("TOY_LEVELS", "1 1")
    with pytest.raises(ValueError, match="toy has two arms called level 1"):
        run(tmp_path, seeds=(0,))


@pytest.mark.skipif(sys.platform != "linux", reason="the system ends it on Linux only")
def test_a_process_whose_sweep_was_killed_before_it_began_ends():
    process = multiprocessing.get_context("spawn").Process(target=die_with, args=(os.getppid(),))
    process.start()  # of this process, not of its parent
    process.join(60)
    assert process.exitcode == 1


def test_arms_that_do_not_depend_on_the_seed_are_recorded_at_each(tmp_path):
    toy = load(TOY)
    one = replace(
        sweep(tmp_path, (0, 1)),
        load=lambda: replace(toy, arms=lambda base: toy.arms(replace(base, seed=0))),
    )
    run_sweeps([one], partial(here, pipeline=Pipeline.at(tmp_path / "store", Runtime())))
    assert len(one.rows().measured) == 4
    assert one.rows().unrun == []


def test_records_of_another_name_do_not_count(tmp_path):
    run(tmp_path, seeds=(0,))
    other = replace(sweep(tmp_path, (0,)), load=lambda: replace(load(TOY), name="renamed"))
    sweep(tmp_path).folder.rename(other.folder)
    assert len(tasks_of(other)) == 2


def test_what_an_arm_is_called_now_is_shown_of_rows_of_before(tmp_path, monkeypatch):
    run(tmp_path, seeds=(0,))
    toy = load(TOY)

    def renamed(base):
        return tuple(replace(a, level=f"of {a.level:g}", series="one") for a in toy.arms(base))

    one = replace(sweep(tmp_path, (0,)), load=lambda: replace(toy, arms=renamed))
    assert tasks_of(one) == []
    report(one)
    assert list(pd.read_csv(one.folder / "table.csv")["level"]) == ["of 1", "of 2"]
    assert "of 2" in (one.folder / "figure.svg").read_text()


def test_a_figure_that_is_not_drawn_again_does_not_stay(tmp_path):
    run(tmp_path, seeds=(0,))
    folder = sweep(tmp_path).folder
    (folder / "pareto.svg").write_text("<svg/>")
    report(sweep(tmp_path, (0,)))
    assert not (folder / "pareto.svg").exists()
    assert (folder / "figure.svg").exists()


def test_a_figure_that_text_is_written_with_stays(tmp_path):
    """Drawn while the tables are written, also over one of before."""
    run(tmp_path, seeds=(0,))

    def write(frame, folder):
        (folder / "own.svg").write_text("<svg/>")
        return "\nThe figure “own” has it.\n"

    one = replace(sweep(tmp_path, (0,)), load=lambda: replace(load(TOY), write=write))
    for _ in range(2):
        report(one)
        assert (one.folder / "own.svg").exists()
        assert "The figure “own”" in (one.folder / "table.md").read_text()
    report(sweep(tmp_path, (0,)))
    assert not (one.folder / "own.svg").exists()


def test_an_ablation_whose_arms_cannot_be_declared_stops_no_other(tmp_path):
    def wrong(base):
        raise TypeError("a mistake")

    launch = partial(here, pipeline=Pipeline.at(tmp_path / "store", Runtime()))
    mistaken = replace(load(TOY), name="mistaken", arms=wrong)
    two = [replace(sweep(tmp_path, (0,)), load=lambda: mistaken), sweep(tmp_path, (0,))]
    with pytest.raises(ValueError, match="mistaken: its arms cannot be declared: TypeError: a mis"):
        run_sweeps(two, launch)
    with pytest.raises(ValueError, match="TypeError: a mistake"):
        dry_run(two[:1], Pipeline.at(tmp_path / "store", Runtime()).store, Runtime())
    assert (two[1].folder / "table.md").exists()
