"""Pairs of two revisions, on made-up times and on a made-up repository."""

import itertools
import subprocess

import numpy as np
import pytest

from davae.cli.track import run
from davae.track import paired
from davae.track.margins import Limit
from davae.track.verdict import Verdict

MARGIN = Limit(0.03)


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
    slower = paired.compare_case("case", Machine(1.1), limit=MARGIN, pairs=10)
    assert slower.verdict == Verdict.REGRESSION
    assert slower.change.percent[0] == pytest.approx(10, abs=1)
    assert slower.change.pairs == 20
    same = paired.compare_case("case", Machine(1.0), limit=MARGIN, pairs=10)
    assert same.verdict == Verdict.OK
    assert same.change.pairs == 10


def test_a_drift_of_the_machine_is_no_regression():
    drifting = paired.compare_case("case", Machine(1.0, drift=0.003), limit=MARGIN, pairs=10)
    assert drifting.verdict == Verdict.OK
    leaping = paired.compare_case("case", Machine(1.0, drift=0.1), limit=MARGIN, pairs=10)
    assert leaping.verdict == Verdict.INVALID


def test_a_rate_is_worse_where_it_is_lower():
    limit = Limit(0.03, "higher")
    assert paired.compare_case("case", Machine(1.1), limit=limit, pairs=10).verdict == Verdict.OK
    slower = paired.compare_case("case", Machine(0.9), limit=limit, pairs=10)
    assert slower.verdict == Verdict.REGRESSION


@pytest.mark.parametrize(
    ("side", "verdict"), [("head", Verdict.REGRESSION), ("base", Verdict.NO_BASELINE)]
)
def test_a_side_that_fails_gives_its_case_a_verdict(side, verdict):
    def seconds(asked):
        if asked == side:
            raise paired.Failed(side, "ImportError: gone")
        return 1.0

    found = paired.compare_case("case", seconds, limit=MARGIN, pairs=10)
    assert (found.verdict, found.reason) == (verdict, f"the {side} fails: ImportError: gone")


ONCE = """
import json, os, random, sys, davae
if sys.argv[1] in davae.BROKEN:
    raise ImportError("gone")
noise = 1 + 0.001 * random.random()
print(json.dumps({"seconds": davae.SECONDS * noise, "machine": {"cores": os.environ["CORES"]}}))
"""
MARGINS = """
paired = ["one", "two"]
[default]
margin = 0.05
[cases]
one = { margin = 0.03, direction = "lower" }
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A made-up project of three revisions: 1.5 s a run, 2.5 s, and one that cannot run `two`."""

    def git(*words):
        subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-b", "main")
    git("config", "user.email", "a@b.c")
    git("config", "user.name", "a")
    files = {
        "benchmarks/__init__.py": "", "benchmarks/once.py": ONCE,
        "benchmarks/scenarios.py": "print('one two')", "benchmarks/margins.toml": MARGINS,
        "pyproject.toml": "[project]\ndependencies = []\n",
    }  # fmt: skip
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "davae").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    for seconds, broken in ((1.5, ()), (2.5, ()), (1.5, ("two",))):
        text = f"SECONDS, BROKEN = {seconds}, {broken}"
        (tmp_path / "davae" / "__init__.py").write_text(text)
        git("add", "-A")
        git("commit", "-m", "a revision")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CORES", "2")
    return tmp_path


@pytest.mark.parametrize(
    ("base", "head", "cases", "code", "said"),
    [
        ("HEAD~2", "HEAD", ("one",), 0, "| one | ok |"),
        ("HEAD~2", "HEAD~1", ("one",), 1, "| one | regression | +66."),
        ("HEAD~2", "HEAD", (), 1, "| two | regression |  |  | 5 |  |  | the head fails: ImportErr"),
        ("HEAD", "HEAD~2", ("two",), 5, "| two | no baseline |"),
        ("HEAD~2", "HEAD", ("three",), 2, ""),
    ],
)
def test_the_command_says_it_and_exits_by_it(repository, base, head, cases, code, said):
    words = ["--base", base, "--head", head, "--pairs", "6", "--summary", "out.md"]
    words += ["--cases", *cases] if cases else []
    assert run(["paired", *words]) == code
    if code != 2:
        text = (repository / "out.md").read_text()
        assert said in text
        assert "| one | ok |" in text or cases != ()  # what was found is kept


def test_other_packages_are_invalid_and_other_settings_are_not(repository):
    for text, code in (
        ("[project]\ndependencies = []\n[tool.ruff]\n", 0),
        ("[project]\ndependencies = ['x']\n", 4),
    ):
        (repository / "pyproject.toml").write_text(text)
        subprocess.run(["git", "commit", "-qam", "another"], check=True)
        words = ["--base", "HEAD~1", "--cases", "one", "--pairs", "6", "--summary", "out.md"]
        assert run(["paired", *words]) == code
    assert "dependencies in pyproject.toml differ" in (repository / "out.md").read_text()


def test_each_side_imports_its_own_revision_and_the_harness_of_the_head(repository, monkeypatch):
    (repository / "benchmarks" / "once.py").write_text("broken, and not committed")
    with paired.tree_of("HEAD~1") as head, paired.tree_of("HEAD~2", head) as base:
        assert (base / "benchmarks").resolve() == (head / "benchmarks").resolve()
        processes = paired.Processes({"base": base, "head": head})
        assert processes.seconds("case", "base") == pytest.approx(1.5, rel=0.01)
        assert processes.seconds("case", "head") == pytest.approx(2.5, rel=0.01)
        monkeypatch.setenv("CORES", "1")
        with pytest.raises(RuntimeError, match="machine changed meanwhile: cores 2 -> 1"):
            processes.seconds("case", "base")
    assert not base.exists()
    with pytest.raises(ValueError, match="nowhere"), paired.tree_of("nowhere"):
        pass
