"""Config hashing, keyed randomness, the store and the records."""

import json
import math
import os
import threading
from dataclasses import dataclass, replace

import pytest
import torch

from davae.core import keyed, records
from davae.core.experiment import DataConfig, Experiment, TrainConfig
from davae.core.hashing import digest, hashable, option
from davae.core.presets import PRESETS
from davae.core.runtime import Runtime
from davae.core.store import Store
from davae.stages.graph import graph
from davae.stages.stage import Pipeline, Stage


@dataclass(frozen=True)
class Before:
    steps: int = 3


@dataclass(frozen=True)
class After:
    steps: int = 3
    momentum: float = option(0.5, neutral=0.0)


def test_a_new_neutral_field_changes_no_key():
    assert digest(After(momentum=0.0)) == digest(Before())
    assert digest(After()) != digest(Before())
    assert digest({"inner": (After(momentum=0.0),)}) == digest({"inner": (Before(),)})


def test_digest_is_of_values_not_of_order_or_container():
    assert digest({"a": 1, "b": [2]}) == digest({"b": (2,), "a": 1})
    assert digest({"a": 1}) == "015abd7f5cc57a2d"  # sha256 of {"a":1}
    assert digest({"a": 1.0}) != digest({"a": 1})
    with pytest.raises(ValueError, match="JSON primitives only"):
        hashable({"a": torch.zeros(1)})


def test_configs_refuse_what_cannot_be():
    with pytest.raises(ValueError, match="does not divide"):
        DataConfig(resolution_px=65)
    with pytest.raises(ValueError, match=r"data\.path is empty"):
        DataConfig(name="folder")
    with pytest.raises(ValueError, match="batch_size is 0"):
        TrainConfig(batch_size=0)


def test_names_are_computed():
    assert PRESETS["tiny"].names() == {"base": "f4c4p1", "davae": "f8c16p1"}
    assert PRESETS["tiny"].latent_size == 8


def test_arms_share_what_they_have_in_common():
    e = PRESETS["nano"]
    a, b = graph(e), graph(replace(e, davae=replace(e.davae, align_weight=0.5)))
    assert a["base_dit"].key == b["base_dit"].key
    assert a["davae"].key != b["davae"].key
    assert a["generation"].key != b["generation"].key
    other = graph(replace(e, seed=1))
    assert other["base_vae"].key == a["base_vae"].key
    assert other["davae"].key != a["davae"].key
    aliased = graph(replace(e, data=replace(e.data, antialias=True)))
    assert aliased["crops"].key == a["crops"].key
    assert aliased["base_vae"].key != a["base_vae"].key
    assert "adapted" not in graph(replace(e, davae=replace(e.davae, detail_channels=0)))


def test_runtime_is_in_no_key():
    inputs = json.dumps([stage.inputs() for stage in graph(Experiment()).values()])
    for field in Runtime.__dataclass_fields__:
        assert f'"{field}"' not in inputs
    with pytest.raises(ValueError, match="torch sees"):
        Runtime(device="cuda:99").apply()
    with pytest.raises(ValueError, match="cpu, cuda or cuda:N"):
        Runtime(device="tpu").apply()


@pytest.mark.parametrize("splits", [(1, 63), (10, 20, 34), (64,)])
def test_noise_does_not_depend_on_the_split_of_the_batch(splits):
    whole = keyed.normal(7, "noise", 3, list(range(64)), (4, 2))
    ranges, start = [], 0
    for size in splits:
        ranges.append(range(start, start + size))
        start += size
    parts = [keyed.normal(7, "noise", 3, list(r), (4, 2)) for r in ranges]
    assert torch.equal(torch.cat(parts), whole)
    assert torch.equal(
        torch.cat([keyed.uniform(7, "u", 3, list(r)) for r in ranges]),
        keyed.uniform(7, "u", 3, list(range(64))),
    )


def test_keys_differ_and_numbers_have_their_distribution():
    keys = {
        keyed.key(s, p, n, i) for s in range(3) for p in "ab" for n in range(5) for i in range(50)
    }
    assert len(keys) == 3 * 2 * 5 * 50
    z = keyed.normal(0, "z", 0, list(range(20_000)), ())
    assert abs(z.mean().item()) < 5 / math.sqrt(20_000)
    assert z.std().item() == pytest.approx(1, abs=0.02)
    counts = torch.bincount(keyed.choose(0, "c", 0, list(range(13_000)), 13))
    assert counts.min() > 850
    assert counts.max() < 1150


def test_a_folder_that_exists_is_complete(tmp_path):
    store = Store(tmp_path)

    def fails(folder):
        (folder / "half").write_text("x")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        store.build("s", "k", {}, fails, {})
    assert not store.has("s", "k")
    assert (tmp_path / "s" / "k.partial" / "half").exists()

    def resumes(folder):
        assert (folder / "half").exists()
        (folder / "scratch.checkpoint").write_text("optimizer")
        (folder / "whole").write_text("y")

    path = store.build("s", "k", {"config": 1}, resumes, {"device": "cpu"})
    assert sorted(p.name for p in path.iterdir()) == ["half", "manifest.json", "whole"]
    manifest = store.manifest("s", "k")
    assert manifest["inputs"] == {"config": 1}
    assert manifest["runtime"] == {"device": "cpu"}
    assert {"git_sha", "machine", "versions", "seconds"} <= set(manifest)
    assert store.build("s", "k", {}, fails, {}) == path


def test_seconds_of_killed_attempts_are_kept(tmp_path):
    partial = tmp_path / "s" / "k.partial"
    partial.mkdir(parents=True)
    (partial / "scratch.clock.json").write_text(json.dumps({"spent": 100.0, "since": 1_000.0}))
    (partial / "log").write_text("last sign of life")
    os.utime(partial / "scratch.clock.json", (1_000, 1_000))
    os.utime(partial / "log", (1_050, 1_050))
    store = Store(tmp_path)
    store.build("s", "k", {}, lambda folder: None, {})
    assert store.manifest("s", "k")["seconds"] == pytest.approx(150, abs=1)


def test_concurrent_builders_make_an_artifact_once(tmp_path):
    calls = []

    def make(folder):
        calls.append(1)
        threading.Event().wait(0.2)

    threads = [
        threading.Thread(target=Store(tmp_path).build, args=("s", "k", {}, make, {}))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [1]


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


def test_the_bytes_of_outside_files_are_in_the_key(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes(b"1")

    def key():
        data = DataConfig(name="folder", path=str(tmp_path / "images"))
        return graph(Experiment(data=data))["crops"].key

    first = key()
    assert key() == first
    (tmp_path / "images" / "a.png").write_bytes(b"2")
    assert key() != first


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
