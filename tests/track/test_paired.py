"""Pairs of two revisions, on made-up times and on a made-up repository."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import once
from davae.cli.track import run
from davae.measure.timing import Clock
from davae.track import paired
from davae.track.margins import Limit
from davae.track.verdict import Verdict

MARGIN = Limit(0.03)
ROOT = Path(__file__).parents[2]


class Machine:
    """Times of blocks: the head's are `factor` as long, with noise and a drift from one to the
    next."""

    def __init__(self, factor, noise=0.005, drift=0.0):
        self.factor, self.noise, self.drift = factor, noise, drift
        self.random, self.count = np.random.default_rng(0), 0

    def __call__(self):
        return [self.seconds(side) for side in paired.BLOCK]

    def seconds(self, side):
        self.count += 1
        factor = self.factor if side == "head" else 1.0
        drifted = np.exp(self.drift * self.count)
        return factor * drifted * np.exp(self.random.normal(0, self.noise))


def test_pairs_and_controls_are_ratios_of_neighbours():
    blocks = iter([(1.0, 2.0, 3.0, 4.0), (5.0, 6.0, 7.0, 8.0)])
    pairs = paired.Pairs()
    pairs.extend(lambda: next(blocks), 4)  # bases 1, 4, 5, 8; heads 2, 3, 6, 7
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


@pytest.mark.parametrize(
    ("side", "verdict"), [("head", Verdict.REGRESSION), ("base", Verdict.NO_BASELINE)]
)
def test_a_side_that_fails_gives_its_case_a_verdict(side, verdict):
    def block():
        raise paired.Failed(side, "ImportError: gone")

    found = paired.compare_case("case", block, limit=MARGIN, pairs=10)
    assert (found.verdict, found.reason) == (verdict, f"the {side} fails: ImportError: gone")


ONCE = """
import json, os, sys, time, davae
if sys.argv[1] in davae.BROKEN:
    raise ImportError("gone")
print(json.dumps({"conditions": {"cores": os.environ["CORES"]}}), flush=True)
for i, _ in enumerate(sys.stdin):
    if sys.argv[1] == "dies" and i == 3:
        sys.exit("no memory")
    if sys.argv[1] == "killed":
        os.kill(os.getpid(), 9)
    with open("../turns", "a") as file:
        file.write(f"{os.getpid()} ")
    print(davae.SECONDS * (1 + 0.001 * (i % 3)), flush=True)
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


def test_a_scenario_that_is_not_committed_is_named(repository, capsys):
    (repository / "benchmarks" / "scenarios.py").write_text("print('one two new')")
    assert run(["paired", "--base", "HEAD", "--pairs", "6", "--cases", "new"]) == 2
    assert "there is no scenario new in what is measured" in capsys.readouterr().err


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
        assert processes.block("case") == pytest.approx([1.5, 2.5, 2.5, 1.5], rel=0.01)
        with pytest.raises(paired.Failed, match="no memory"):
            processes.block("dies")
        with pytest.raises(RuntimeError, match="base was killed"):
            processes.block("killed")
        monkeypatch.setenv("CORES", "1")
        with pytest.raises(RuntimeError, match="machine changed meanwhile: cores 2 -> 1"):
            processes.block("case")
    assert not base.exists()
    with pytest.raises(ValueError, match="nowhere"), paired.tree_of("nowhere"):
        pass


def test_four_processes_take_turns_and_none_follows_itself(repository):
    folder = repository / "side"
    folder.mkdir()
    for name in ("davae", "benchmarks"):
        (folder / name).symlink_to(repository / name)
    paired.Processes({"base": folder, "head": folder}).block("case")
    turns = (repository / "turns").read_text().split()
    four = list(dict.fromkeys(turns))
    assert len(four) == 4
    base, head, other_head, other_base = four
    twice = [*four, head, base, other_base, other_head]
    assert turns == twice * (paired.ROUNDS // 2)


class Steps:
    """A clock that a run moves on by a given time."""

    def __init__(self, seconds):
        self.time, self.seconds, self.runs = 0.0, seconds, 0

    def run(self):
        self.time += self.seconds
        self.runs += 1


@pytest.mark.parametrize(("seconds", "runs"), [(0.04, 3), (0.3, 1)])
def test_a_turn_lasts_a_tenth_of_a_second(seconds, runs):
    steps = Steps(seconds)
    assert once.turn_seconds(steps.run, Clock(now=lambda: steps.time)) == pytest.approx(seconds)
    assert steps.runs == runs


def test_what_a_scenario_prints_is_no_time(tmp_path):
    """A print of the package goes to the error output, from the first line on."""
    code = (
        "import benchmarks.once as once\n"
        "def loud(s):\n"
        "    print('1.0')\n"
        "    return workload(s)\n"
        "workload, once.workload = once.workload, loud\n"
        "once.main('tiny-widened-draw-b24')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, input="\n", capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    hello, seconds = done.stdout.splitlines()
    assert json.loads(hello)["case"] == "tiny-widened-draw-b24"
    assert 0 < float(seconds) < 1
    assert "1.0" in done.stderr
