"""`davae track paired` for real: a slowdown is found, an identical revision is not accused.

Takes about half an hour of a quiet machine; the verdicts are written to OUT, as its records."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

pytestmark = [pytest.mark.accept, pytest.mark.timeout(0)]
ROOT = Path(__file__).parents[2]
OUT = ROOT / "results" / "cpu-2core" / "tracker.csv"
CASE = "tiny-widened-denoise-b32"
TIMES = 5
COLUMNS = ["head", "case", "comparison", "verdict", "slower by %"]
SLOWER = """

_velocity = DiT.velocity


def _slower(self, *args, **kwargs):
    import time

    begun = time.perf_counter()
    out = _velocity(self, *args, **kwargs)
    until = time.perf_counter() + 0.10 * (time.perf_counter() - begun)
    while time.perf_counter() < until:
        pass
    return out


DiT.velocity = _slower
"""
"""Appended to `davae/models/dit.py`: a tenth more time in every forward."""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """The project with a second commit in which the DiT is a tenth slower."""
    folder = tmp_path_factory.mktemp("tracker") / "clone"

    def git(*words):
        subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)

    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    with (folder / "davae" / "models" / "dit.py").open("a") as file:
        file.write(SLOWER)
    git("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qam", "a tenth slower")
    return folder


def verdicts(clone, base, head):
    """(verdict, percent) of TIMES comparisons, as they come."""
    for _ in range(TIMES):
        words = ["track", "paired", "--base", base, "--head", head, "--cases", CASE]
        done = subprocess.run(
            [sys.executable, "-c", "from davae.cli.main import main; main()", *words],
            cwd=clone, env={**os.environ, "PYTHONPATH": str(clone)}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        row = re.search(rf"\| {CASE} \| ([a-z ]+) \| (\S*) \|", done.stdout)
        assert row, done.stdout + done.stderr
        yield row[1], float(row[2] or "nan")


def measured(clone, what, base, head):
    """Counts of the verdicts on one pair of revisions; its rows in OUT are replaced."""
    kept = pd.read_csv(OUT).query("head != @what") if OUT.exists() else pd.DataFrame()
    rows = []
    for i, (verdict, percent) in enumerate(verdicts(clone, base, head), 1):
        rows.append([what, CASE, i, verdict, percent])
        frame = pd.DataFrame(rows, columns=COLUMNS)
        pd.concat([kept, frame]).to_csv(OUT, index=False)  # a quarter of an hour: kept
    return frame["verdict"].value_counts()


def test_a_tenth_is_found(clone):
    assert measured(clone, "10% slower", "HEAD~1", "HEAD").to_dict() == {"regression": TIMES}


def test_an_identical_revision_is_not_accused(clone):
    counted = measured(clone, "the same revision", "HEAD~1", "HEAD~1")
    assert counted["ok"] >= TIMES - 1
    assert "regression" not in counted
