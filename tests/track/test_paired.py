"""Pairs of two revisions, on made-up times and on a made-up repository."""

import itertools
import subprocess

import numpy as np
import pytest

from davae.track import paired
from davae.track.verdict import Verdict

MARGIN = 0.03


class Machine:
    """Times of two revisions: the head's are `factor` as long, with noise and a drift."""

    def __init__(self, factor, noise=0.005, drift=0.0):
        self.factor, self.noise, self.drift = factor, noise, drift
        self.random, self.order = np.random.default_rng(0), []

    def __call__(self, side):
        self.order.append(side)
        factor = self.factor if side == "head" else 1.0
        drifted = np.exp(self.drift * len(self.order))
        return factor * drifted * np.exp(self.random.normal(0, self.noise))


def test_pairs_are_taken_base_head_head_base():
    machine = Machine(1.0)
    paired.Pairs().extend(machine, 4)
    assert machine.order == ["base", "head", "head", "base"] * 2


def test_pairs_and_controls_are_ratios_of_neighbours():
    times = itertools.count(1.0)
    pairs = paired.Pairs()
    pairs.extend(lambda side: next(times), 4)  # bases 1, 4, 5, 8; heads 2, 3, 6, 7
    assert pairs.ratios == pytest.approx(np.log([2 / 1, 3 / 4, 6 / 5, 7 / 8]))
    assert pairs.control == pytest.approx(np.log([4 / 1, 8 / 5]))


def test_a_slower_head_is_a_regression_and_its_like_is_ok():
    slower = paired.compare_case("case", Machine(1.1), margin=MARGIN, pairs=10)
    assert slower.verdict == Verdict.REGRESSION
    assert slower.change.percent[0] == pytest.approx(10, abs=1)
    assert slower.change.pairs == 20
    same = paired.compare_case("case", Machine(1.0), margin=MARGIN, pairs=10)
    assert same.verdict == Verdict.OK
    assert same.change.pairs == 10


def test_a_drift_of_the_machine_is_no_regression():
    drifting = paired.compare_case("case", Machine(1.0, drift=0.003), margin=MARGIN, pairs=10)
    assert drifting.verdict == Verdict.OK
    leaping = paired.compare_case("case", Machine(1.0, drift=0.1), margin=MARGIN, pairs=10)
    assert leaping.verdict == Verdict.INVALID


def test_each_side_imports_its_own_revision(tmp_path, monkeypatch):
    def git(*words):
        subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-b", "main")
    git("config", "user.email", "a@b.c")
    git("config", "user.name", "a")
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").write_text("")
    (tmp_path / "benchmarks" / "once.py").write_text(
        "import json, os, davae;"
        "print(json.dumps({'seconds': davae.SECONDS, 'machine': {'cores': os.environ['CORES']}}))"
    )
    (tmp_path / "davae").mkdir()
    for seconds in (1.5, 2.5):
        (tmp_path / "davae" / "__init__.py").write_text(f"SECONDS = {seconds}")
        (tmp_path / "pyproject.toml").write_text("" if seconds == 1.5 else "# new")
        git("add", "-A")
        git("commit", "-m", "a revision")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CORES", "2")
    with paired.tree_of("HEAD~1") as base, paired.tree_of("HEAD") as head:
        processes = paired.Processes({"base": base, "head": head})
        assert processes.seconds("case", "base") == 1.5
        assert processes.seconds("case", "head") == 2.5
        monkeypatch.setenv("CORES", "1")
        with pytest.raises(RuntimeError, match="machine changed meanwhile: cores 2 -> 1"):
            processes.seconds("case", "base")
    assert not base.exists()
    assert paired.changed_dependencies("HEAD~1", "HEAD") == ["pyproject.toml"]
    with pytest.raises(ValueError, match="nowhere"), paired.tree_of("nowhere"):
        pass
