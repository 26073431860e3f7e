"""What an ablation would train."""

from pathlib import Path

import pytest

from ablations.align_weight import ABLATION as ALIGN_WEIGHT
from ablations.alignment_cost import ABLATION as ALIGNMENT_COST
from ablations.init import ABLATION as INIT
from ablations.init import INITS
from davae.core.presets import ARMS
from davae.core.runtime import Runtime
from davae.core.store import Store
from davae.sweep.dry_run import dry_run
from davae.sweep.sweep import Sweep

COMMITTED = Path(__file__).parents[2] / "results" / "cpu-2core" / "store"


def networks(ablation, tmp_path, seeds=(0, 1)):
    """(network, steps, arms) of every row."""
    store = Store(tmp_path, COMMITTED)
    sweep = Sweep(lambda: ablation, ablation.base("tiny"), "tiny", seeds, tmp_path)
    lines = dry_run([sweep], store, Runtime()).split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [(name, int(steps.replace(",", "")), arms) for name, _, steps, arms in cells]


def test_questions_of_the_transformer_train_no_davae(tmp_path):
    rows = networks(INIT, tmp_path)
    trained = [row for row in rows if row[1]]
    assert [row[0] for row in trained] == ["adapted"] * 2 * len(INITS)  # one for all shares
    assert {row[1] for row in trained} == {ARMS["tiny"].adapt.adapt.train.steps}
    assert [row[0] for row in rows].count("davae") == 1


@pytest.mark.parametrize(("ablation", "count"), [(ALIGN_WEIGHT, 8), (ALIGNMENT_COST, 3 * 2)])
def test_questions_of_the_autoencoder_train_one_an_arm_or_one_a_seed_too(tmp_path, ablation, count):
    rows = networks(ablation, tmp_path)
    short = ARMS["tiny"].davae.davae.train.steps
    trained = [row for row in rows if row[0] == "davae" and row[1]]
    assert [row[1] for row in trained].count(short) == count
    [start] = [row for row in rows if row[0] == "davae" and row[1] != short]
    assert all(
        f"{arm} (seed {seed})" in start[2] for arm in ("lambda=0", "ratio 1") for seed in (0, 1)
    )
