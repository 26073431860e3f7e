"""From files outside the package: a metric, an extractor, a base model, a method, an ablation."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from davae import load_records
from davae.core.extend import load_file

FILES = Path(__file__).parent / "extension"
NAMES = ("metric", "extractor", "family", "method")


@pytest.fixture(scope="module")
def place(nano, tmp_path_factory):
    """A folder with the extensions and, as its store, a copy of the nano run's."""
    top = tmp_path_factory.mktemp("outside")
    for name in (*NAMES, "ablation"):
        shutil.copy(FILES / f"{name}.py", top / f"my_{name}.py")
    shutil.copytree(nano[0].store.root, top / "store", ignore=shutil.ignore_patterns("*.lock"))
    return top


def extended(place, *args):
    """Run a command in `place` with every extension; returns what it printed."""
    extensions = [word for name in NAMES for word in ("--extend", f"my_{name}.py")]
    root = str(Path(__file__).parents[1])
    command = [sys.executable, *args, *extensions]
    done = subprocess.run(
        command, cwd=place, capture_output=True, text=True, env={"PYTHONPATH": root}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


DAVAE = ("-c", "from davae.cli.main import main; main()")


@pytest.mark.parametrize("name", [*NAMES, "ablation"])
def test_an_extension_takes_at_most_twenty_lines(name):
    lines = (FILES / f"{name}.py").read_text().split('"""', 2)[2].splitlines()
    assert len([line for line in lines if line.strip()]) <= 20


def test_davae_eval_knows_metric_and_extractor(place):
    rng = np.random.default_rng(0)
    for name in "ab":
        np.save(place / f"{name}.npy", rng.integers(0, 256, (40, 3, 32, 32), np.uint8))
    options = ("--extractor", "grey:side=2", "--metrics", "spread", "kd")
    printed = extended(place, *DAVAE, "eval", "a.npy", "--reference", "b.npy", *options)
    images = np.load(place / "a.npy").mean(1).reshape(40, 2, 16, 2, 16).mean((2, 4))
    expected = images.reshape(40, 4).std(0).mean()
    row = next(line for line in printed.splitlines() if line.startswith("| spread_grey"))
    assert float(row.split("|")[2]) == pytest.approx(expected, rel=1e-3)
    assert "grey-4d-n40/" in printed
    assert "kd_grey" in printed


def test_davae_run_has_them_in_its_table(place):
    options = ("--base-dit.family", "narrow", "--methods", "control", "noise")
    judged = ("--eval.metrics", "kd", "fd", "spread", "--eval.also", "grey")
    printed = extended(place, *DAVAE, "run", "nano", *options, *judged)
    header = next(line for line in printed.splitlines() if line.startswith("| row"))
    for column in ("gspread_effnet", "gspread_grey", "gkd_grey", "rkd_grey"):
        assert column in header
    assert "| pure noise |" in printed
    frame = load_records(place / "runs").set_index(["arm", "metric"])["value"]
    # all values of noise are as likely: its mean over a third of the side is near the middle
    assert frame["noise", "gspread_grey"] < frame["adapted", "gspread_grey"]
    parameters = frame["stage:base_dit", "parameters"]
    assert parameters < 20_000  # half as wide as nano's 30 thousand


def test_an_ablation_has_them_in_table_and_figure(place):
    options = ("--preset", "nano", "--eval.also", "grey", "--eval.metrics", "kd", "fd", "spread")
    extended(place, "-m", "ablations", "my_ablation.py", *options)
    folder = place / "runs" / "nano" / "ablations" / "ways"
    rows = [line.split("|")[1].strip() for line in (folder / "table.md").read_text().splitlines()
            if line.startswith("|")]  # fmt: skip
    assert rows == ["arm", "---", "noise first", "adapted after"]  # as declared
    frame = load_records(folder)
    assert list(frame["level"].unique()) == ["noise first", "adapted after"]
    assert set(frame["metric"]) == {"gkd_effnet", "gspread_effnet", "gkd_grey"}
    assert set(frame["ablation"]) == {"ways"}
    texts = re.findall(r"<!-- (.*?) -->", (folder / "figure.svg").read_text())
    assert texts.index("noise first") < texts.index("adapted after")
    assert {"gKD", "spread", "grey gKD", "way"} <= set(texts)


def test_a_users_file_may_postpone_its_annotations(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Own:\n    name: str = 'x'\n"
    )
    assert load_file(file).Own().name == "x"
