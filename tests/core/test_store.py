"""Artifacts in the store."""

import json
import os
import threading

import pytest

from davae.core.store import Store


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


def test_a_damaged_file_is_named_with_what_to_do(tmp_path):
    store = Store(tmp_path)
    folder = store.build("s", "k", {}, lambda folder: None, {})
    (folder / "manifest.json").write_text('{"stage": ')
    with pytest.raises(ValueError, match=r"manifest\.json is damaged .*: remove .*/s/k, and it is"):
        store.manifest("s", "k")


def test_a_clock_that_is_set_back_takes_no_time_off(tmp_path, monkeypatch):
    def make(folder):
        monkeypatch.setattr("time.time", lambda: 0.0)

    store = Store(tmp_path)
    store.build("s", "k", {}, make, {})
    assert store.manifest("s", "k")["seconds"] >= 0.0
