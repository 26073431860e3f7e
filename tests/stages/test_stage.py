"""Building stages."""

import os

import torch

from davae.core.ranks import Ranks
from davae.core.runtime import Runtime
from davae.core.store import Store
from davae.stages import stage as stage_module
from davae.stages.stage import Pipeline, Stage, every_core, settled


def test_pipeline_builds_dependencies_first_and_once(tmp_path):
    built = []

    def make(work, name, value):
        built.append((name, sorted(work.inputs)))
        (work.folder / "out").write_text(value)

    a = Stage("a", 1, make, {"name": "a", "value": "1"})
    b = Stage("b", 1, make, {"name": "b", "value": "2"}, {"first": a})
    c = Stage("c", 1, make, {"name": "c", "value": "3"}, {"left": b, "right": a})
    pipeline = Pipeline(Store(tmp_path), Runtime(), announce=lambda text: None)
    assert (pipeline.path(c) / "out").read_text() == "3"
    pipeline.path(c)
    assert built == [("a", []), ("b", ["first"]), ("c", ["left", "right"])]
    assert Stage("a", 2, make, a.config).key != a.key


def test_what_is_shipped_needs_no_upstream(tmp_path):
    def make(work, value):
        (work.folder / "out").write_text(value)

    upstream = Stage("data", 1, make, {"value": "crops"})
    model = Stage("model", 1, make, {"value": "trained here"}, {"data": upstream})
    ready = tmp_path / "shipped" / "model" / model.key
    ready.mkdir(parents=True)
    (ready / "out").write_text("shipped")
    announced = []
    store = Store(tmp_path / "store", tmp_path / "shipped")
    pipeline = Pipeline(store, Runtime(), announced.append)
    assert (pipeline.path(model) / "out").read_text() == "shipped"
    assert announced == []
    scratch = Pipeline(Store(tmp_path / "store"), Runtime(), announced.append)
    assert (scratch.path(model) / "out").read_text() == "trained here"
    assert announced == [f"data {upstream.key}", f"model {model.key}"]
    assert (pipeline.path(model) / "out").read_text() == "trained here"  # one's own goes first


def test_a_recipe_is_the_key_without_seeds():
    def stage(seed, value, of=0):
        data = Stage("data", 1, print, {"seed": of})
        return Stage("model", 1, print, {"seed": seed, "value": value}, {"data": data})

    assert stage(0, 1).key != stage(1, 1).key
    assert stage(0, 1).recipe == stage(1, 1).recipe == stage(0, 1, of=5).recipe
    assert stage(0, 1).recipe != stage(0, 2).recipe
    assert Stage("data", 1, print, {}).recipe != Stage("data", 2, print, {}).recipe


def test_what_is_measured_on_a_machine_is_measured_once_a_store(tmp_path, monkeypatch):
    rates = {"contiguous": 2.0, "channels_last": 1.0}
    monkeypatch.setattr(stage_module, "weight_gradient_rates", lambda device: rates)
    first = settled(Runtime(), tmp_path / "store")
    assert first.weight_gradient == "contiguous"
    rates["channels_last"] = 3.0  # a moment later, beside something else
    assert settled(Runtime(), tmp_path / "store") == first
    assert settled(Runtime(), tmp_path / "other").weight_gradient == "channels_last"


def test_the_main_rank_has_every_core_while_the_others_wait(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(before + 3))
    for runtime, count, expected in (
        (Runtime(), 1, before), (Runtime(), 4, before + 3), (Runtime(threads=1), 4, before),
    ):  # fmt: skip
        monkeypatch.setattr(stage_module, "launched", lambda count=count: Ranks(count=count))
        with every_core(runtime):
            assert torch.get_num_threads() == expected
        assert torch.get_num_threads() == before
