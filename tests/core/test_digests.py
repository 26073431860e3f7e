"""Digests of files, each read once."""

import hashlib
import os
import time

import pytest

from davae.core import digests
from davae.core.hashing import content_digest


@pytest.fixture
def read(tmp_path, monkeypatch):
    """A folder of settled files in a cache of the test's own; the names that are read."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "SETTLED_S", -1.0)
    seen = []
    own = digests.file_digest
    monkeypatch.setattr(digests, "file_digest", lambda p: (seen.append(p.name), own(p))[1])
    return seen


def write(folder, contents):
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_text(content)


def test_a_file_is_read_once_and_again_when_it_changed(tmp_path, read):
    write(tmp_path / "data", {"a": "one", "b": "two"})
    first = content_digest(str(tmp_path / "data"))
    assert sorted(read) == ["a", "b"]
    assert content_digest(str(tmp_path / "data")) == first
    assert sorted(read) == ["a", "b"]
    write(tmp_path / "data", {"b": "six"})  # of the same size
    os.utime(tmp_path / "data" / "b", ns=(1, 1))
    assert content_digest(str(tmp_path / "data")) != first
    assert read[2:] == ["b"]


def test_it_is_the_sha256_of_names_and_contents(tmp_path, read):
    write(tmp_path / "data", {"a": "one", "b": "two"})
    whole = hashlib.sha256()
    for name, content in (("a", b"one"), ("b", b"two")):
        whole.update(name.encode() + hashlib.sha256(content).digest())
    for _ in range(2):
        assert content_digest(str(tmp_path / "data")) == whole.hexdigest()[:16]


def test_what_changed_just_now_is_not_kept(tmp_path, read, monkeypatch):
    monkeypatch.setattr(digests, "SETTLED_S", 60.0)
    write(tmp_path / "data", {"a": "one"})
    for _ in range(2):
        content_digest(str(tmp_path / "data"))
    assert read == ["a", "a"]
    assert time.time() - (tmp_path / "data" / "a").stat().st_ctime < 60


def test_a_cache_that_cannot_be_written_is_said(tmp_path, read, monkeypatch, capsys):
    (tmp_path / "cache").write_text("a file")
    write(tmp_path / "data", {"a": "one"})
    assert content_digest(str(tmp_path / "data"))
    assert "digests are not kept" in capsys.readouterr().out


def test_a_cache_that_cannot_be_read_is_said_and_files_are(tmp_path, read, capsys):
    (tmp_path / "a.png").write_bytes(b"a")
    digests.cache_file().parent.mkdir(parents=True, exist_ok=True)
    digests.cache_file().write_bytes(b"no database" * 1000)
    expected = hashlib.sha256(b"a").digest()
    assert digests.file_digests([tmp_path / "a.png"]) == [expected]
    assert "cannot be read" in capsys.readouterr().out
