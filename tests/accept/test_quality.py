"""Quality lines on the committed records; `make accept` runs them, CI does not."""

from pathlib import Path

import pytest

from davae.analysis.stats import paired_difference, t_interval
from davae.core import records

pytestmark = pytest.mark.accept
RESULTS = Path(__file__).parents[2] / "results"


@pytest.fixture(scope="module")
def tiny():
    """The first experiment on photographs."""
    frame = records.load_records(*RESULTS.glob("*/photos_first"))
    frame = records.latest(frame[frame["suite"] == "run"])
    return frame.set_index(["seed", "arm", "metric"])["value"]


SEEDS = [0, 1, 2]


@pytest.mark.parametrize("seed", SEEDS)
def test_detail_buys_a_decibel(tiny, seed):
    full = tiny[seed, "davae", "psnr_db"]
    assert full >= tiny[seed, "no_detail", "psnr_db"] + 1
    assert full >= tiny[seed, "davae_zeroed", "psnr_db"] + 1


@pytest.mark.parametrize("seed", SEEDS)
def test_base_reconstruction(tiny, seed):
    assert tiny[seed, "base_vae", "psnr_db"] >= 28


@pytest.mark.parametrize("seed", SEEDS)
def test_the_adapted_model_beats_the_control(tiny, seed):
    assert tiny[seed, "adapted", "gkd_effnet"] < tiny[seed, "control", "gkd_effnet"]


@pytest.mark.parametrize("seed", SEEDS)
def test_samples_are_recognised(tiny, seed):
    assert tiny[seed, "adapted", "probe_accuracy"] >= 0.8


@pytest.mark.parametrize("seed", SEEDS)
def test_budget_plateau_and_speed(tiny, seed):
    seconds = tiny.xs("seconds", level="metric").loc[seed]
    assert seconds.sum() <= 75 * 60
    assert tiny[seed, "stage:base_dit", "heldout_base_last_quarter_fall_percent"] < 1
    assert tiny[seed, "stage:adapted", "steps"] <= tiny[seed, "stage:base_dit", "steps"] / 5
    shares = tiny.xs("share_of_matmul_rate", level="metric").loc[seed]
    assert (shares >= 0.4).all()


@pytest.fixture(scope="module")
def scenes():
    """`tiny` on scenes: {(arm, metric): {(base seed, seed): value}}."""
    paths = list(RESULTS.glob("*/tiny/*/records.jsonl"))
    if not paths:
        pytest.skip("no records of tiny on scenes are committed yet: results/*/tiny")
    frame = records.latest(records.load_records(*paths))
    frame = frame[frame["metric"].isin(["detail_accuracy", "content_accuracy"])]
    values: dict = {}
    for _, row in frame.iterrows():
        runs = values.setdefault((row["arm"], row["metric"]), {})
        runs[row["base_seed"], row["seed"]] = row["value"]
    return values


def of_base_seed(values, base_seed):
    """{seed: value} of one base DiT."""
    return {seed: value for (base, seed), value in values.items() if base == base_seed}


def test_three_seeds_and_two_base_seeds(scenes):
    runs = scenes["adapted", "detail_accuracy"]
    assert len(of_base_seed(runs, 0)) >= 3
    assert len({base for base, _ in runs}) >= 2


@pytest.mark.parametrize("base_seed", [0, 1])
def test_the_adapted_model_shows_the_detail_of_its_class(scenes, base_seed):
    values = list(of_base_seed(scenes["adapted", "detail_accuracy"], base_seed).values())
    interval = t_interval(values)
    assert interval.mean >= 0.75
    assert len(values) == 1 or interval.low >= 0.65


@pytest.mark.parametrize("arm", ["control", "control_decoded", "base_upsampled", "base_decoded"])
def test_no_model_without_detail_shows_it(scenes, arm):
    values = list(scenes[arm, "detail_accuracy"].values())
    assert t_interval(values).mean == pytest.approx(0.25, abs=0.05)


def test_the_content_is_as_good_as_the_controls(scenes):
    adapted, control = (
        of_base_seed(scenes[arm, "content_accuracy"], 0) for arm in ("adapted", "control")
    )
    assert paired_difference(adapted, control).low >= -0.03
