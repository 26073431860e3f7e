"""What an ablation's stages took, each once."""

import json
from dataclasses import dataclass

import pytest

from davae.core.store import Store
from davae.stages.stage import Stage
from davae.sweep.took import TIMES, core_minutes, cpus, keep_times


def nothing(work):
    """A stage that is only put into a store by hand."""


@dataclass
class TwoStages:
    """An arm over a stage that all arms share."""

    name: str

    def stages(self):
        shared = Stage("shared", 1, nothing, {})
        return {"shared": shared, "own": Stage("own", 1, nothing, {"arm": self.name},
                                               {"shared": shared})}  # fmt: skip


def put(store, stage, seconds, threads):
    folder = store.root / stage.name / stage.key
    folder.mkdir(parents=True, exist_ok=True)
    machine = {"threads": threads, "cpu": f"{threads} of them"}
    manifest = {"seconds": seconds, "machine": machine, "runtime": {"dtype": "float32"}}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_stage_that_arms_share_is_counted_once_and_seconds_are_those_of_a_core(tmp_path):
    store, folder = Store(tmp_path / "store"), tmp_path / "ablation"
    for arm, seconds, threads in ((TwoStages("a"), 60.0, 1), (TwoStages("b"), 90.0, 2)):
        stages = arm.stages()
        put(store, stages["shared"], 120.0, 2)
        put(store, stages["own"], seconds, threads)
        keep_times(folder, arm, ("own",), arm.name, store)
    assert core_minutes(folder, {"a"}) == pytest.approx((240 + 60) / 60)
    assert core_minutes(folder, {"b"}) == pytest.approx((240 + 180) / 60)
    assert core_minutes(folder, {"a", "b"}) == pytest.approx((240 + 60 + 180) / 60)
    assert cpus(folder) == ["1 of them", "2 of them"]


def test_what_another_ablation_built_of_an_arm_is_not_counted(tmp_path):
    store, arm = Store(tmp_path / "store"), TwoStages("a")
    for stage in arm.stages().values():
        put(store, stage, 60.0, 1)
    keep_times(tmp_path, arm, ("shared",), "a", store)
    assert core_minutes(tmp_path, {"a"}) == pytest.approx(1)


def test_minutes_are_not_made_up_where_an_arms_were_not_kept(tmp_path):
    assert core_minutes(tmp_path, {"a"}) is None
    (tmp_path / TIMES).write_text(
        json.dumps({"arm": "a", "key": "a", "seconds": {}, "threads": {}}) + "\n"
    )
    assert core_minutes(tmp_path, {"a"}) == 0
    assert core_minutes(tmp_path, {"a", "b"}) is None


def test_networks_that_the_project_ships_are_left_out(tmp_path):
    arm = TwoStages("a")
    shipped, store = tmp_path / "shipped", Store(tmp_path / "store", tmp_path / "shipped")
    put(Store(shipped), arm.stages()["shared"], 6000.0, 2)
    put(store, arm.stages()["own"], 60.0, 1)
    keep_times(tmp_path / "ablation", arm, ("own",), "a", store)
    assert core_minutes(tmp_path / "ablation", {"a"}) == 1
