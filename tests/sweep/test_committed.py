"""The committed ablations are of their arms as they are declared now, and their tables of their
records."""

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from ablations._load import load
from davae.sweep.report import write_tables
from davae.sweep.sweep import Sweep

RESULTS = Path(__file__).parents[2] / "results" / "cpu-2core"
TABLES = sorted(RESULTS.glob("*/ablations/*/table.csv"))
RECORDS = ("records.jsonl", "stages.jsonl")
assert TABLES


@pytest.mark.parametrize("path", TABLES, ids=lambda path: "-".join(path.parts[-4:-1:2]))
def test_committed_tables_are_of_committed_records(path, tmp_path):
    committed = pd.read_csv(path)
    name, _, base_seed = path.parent.name.partition("-base")
    ablation, preset = load(name), path.parts[-4]
    base = replace(ablation.base(preset), base_seed=int(base_seed or 0))
    seeds = tuple(range(committed["seeds"].max()))
    sweep = Sweep(lambda: ablation, base, preset, seeds, tmp_path)
    sweep.folder.mkdir(parents=True)
    for file in RECORDS:
        if (path.parent / file).exists():
            shutil.copy(path.parent / file, sweep.folder)
    write_tables(sweep)
    pd.testing.assert_frame_equal(pd.read_csv(sweep.folder / path.name), committed)
    text = path.with_name("table.md").read_text()
    assert (sweep.folder / "table.md").read_text() == text
    findings = path.parent / "findings.csv"
    assert findings.exists() == (sweep.folder / findings.name).exists()
    if findings.exists():
        again = pd.read_csv(sweep.folder / findings.name)
        pd.testing.assert_frame_equal(again, pd.read_csv(findings))
