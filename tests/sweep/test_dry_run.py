"""What an ablation would train."""

from dataclasses import replace
from pathlib import Path

import pytest

from ablations.align_weight import ABLATION as ALIGN_WEIGHT
from ablations.alignment_cost import ABLATION as ALIGNMENT_COST
from ablations.init import ABLATION as INIT
from ablations.init import INITS
from ablations.tokens import ABLATION as TOKENS
from ablations.tokens import NATIVE
from davae.core.presets import ARMS, PRESETS
from davae.core.runtime import Runtime
from davae.core.store import Store
from davae.stages.graph import graph
from davae.sweep.dry_run import dry_run, makespan, steps_of
from davae.sweep.dry_run import networks as networks_of
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


@pytest.mark.parametrize(
    ("ablation", "count", "users"),
    [(ALIGN_WEIGHT, 8, "8 arms"), (ALIGNMENT_COST, 3 * 2, "lambda=0; ratio 0.5; ratio 1")],
)
def test_questions_of_the_autoencoder_train_one_an_arm_or_one_a_seed_too(
    tmp_path, ablation, count, users
):
    rows = networks(ablation, tmp_path)
    short = ARMS["tiny"].davae.davae.train.steps
    trained = [row for row in rows if row[0] == "davae" and row[1]]
    assert [row[1] for row in trained].count(short) == count
    [start] = [row for row in rows if row[0] == "davae" and row[1] != short]
    assert start[2] == f"{users} (seeds 0, 1)"


def test_steps_are_of_what_is_trained(tmp_path):
    """Not those of the base model's config, which a pipeline's adaptation has too; and what trains
    for an adaptation's FLOPs has steps of its own."""
    base = PRESETS["sd35m_1k"]
    text = replace(base, adapt=replace(base.adapt, train=replace(base.adapt.train, steps=77)))
    assert steps_of(graph(text)["adapted"]) == 77
    sweep = Sweep(lambda: TOKENS, TOKENS.base("tiny"), "tiny", (0,), tmp_path, (NATIVE,))
    assert "| as many FLOPs as 1,000 of adapted |" in dry_run([sweep], Store(tmp_path), Runtime())


def test_a_network_names_few_arms_and_counts_many():
    rows = [("davae", "k", 9, arm, seed) for arm in "ab" for seed in (1, 0, 1)]
    assert list(networks_of(rows)["arms"]) == ["a; b (seeds 0, 1)"]
    assert list(networks_of([*rows, *[("davae", "k", 9, arm, 0) for arm in "cd"]])["arms"]) == [
        "4 arms (seeds 0, 1)"
    ]
    assert list(networks_of(rows[:1])["arms"]) == ["a (seed 1)"]
    assert networks_of([]).empty


@pytest.mark.parametrize(("jobs", "minutes"), [(1, 2.0), (2, 2.0 * (1 + 2 / 2))])
def test_processes_start_before_their_arms(tmp_path, jobs, minutes):
    """One process, or the sweep's and one an arm, of which two run at a time."""
    sweep = Sweep(lambda: INIT, INIT.base("tiny"), "tiny", (0, 1), tmp_path, ("zero",))
    text = dry_run([sweep], Store(tmp_path, None), Runtime(), jobs, start=120.0)
    assert "2 arms, " in text
    assert f" at least {minutes:.1f} minutes" in text


@pytest.mark.parametrize(
    ("jobs", "seconds"), [(1, 2 + 10 + 5 + 7 + 1), (2, (2 + 2 + 10 + 5) + (2 + 1))]
)
def test_arms_that_run_at_a_time_wait_for_the_stage_that_they_share(jobs, seconds):
    """Of two processes the second waits for the autoencoder, and the first, sooner free, has the
    third arm."""
    works = [
        [
            ("davae", 10.0),
            (name, took),
            ("davae", 10.0),
        ]  # decoding reads it again
        for name, took in (("a", 5.0), ("b", 7.0), ("c", 1.0))
    ]
    assert makespan(works, jobs, start=2.0) == seconds
    assert makespan([], jobs, start=2.0) == 2.0


@pytest.mark.parametrize(("jobs", "seconds"), [(1, 10 + 5 + 1), (2, 10)])
def test_a_shared_stage_is_made_by_the_arm_that_comes_to_it_first(jobs, seconds):
    """The second arm needs it at once and the first after ten seconds, when it is there."""
    works = [[("own", 10.0), ("shared", 5.0)], [("shared", 5.0), ("other", 1.0)]]
    assert makespan(works, jobs, start=0.0) == seconds
