"""Quality lines on the committed records; `make accept` runs them, CI does not."""

from pathlib import Path

import pytest

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
