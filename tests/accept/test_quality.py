"""Quality lines on the committed records; `make accept` runs them, CI does not."""

from pathlib import Path

import pytest

from davae.analysis.stats import paired_difference, t_interval
from davae.core import records

pytestmark = pytest.mark.accept
RESULTS = Path(__file__).parents[2] / "results"


STORE = RESULTS / "cpu-2core" / "store"


def runs_of(preset):
    """The last records of a preset's committed runs."""
    paths = list(RESULTS.glob(f"*/{preset}/*/records.jsonl"))
    if not paths:
        pytest.skip(f"no records are committed: results/*/{preset}")
    return records.latest(records.load_records(*paths))


def of_row(frame, arm, metric, protocol=""):
    """Values of every run."""
    rows = frame[(frame["arm"] == arm) & (frame["metric"] == metric)]
    values = rows.loc[rows["protocol"].str.contains(protocol, regex=False), "value"]
    assert len(values), (arm, metric, protocol)
    return values


@pytest.fixture(scope="module")
def photos():
    """`tiny_photos`."""
    return runs_of("tiny_photos")


FINE, CONTENT = "effnet_lite0-b8-80d", "effnet_lite0-b15-192d"


def test_the_shipped_autoencoders_on_photographs(photos):
    assert (of_row(photos, "base_vae", "psnr_db") >= 29.5).all()
    assert (of_row(photos, "davae", "psnr_db") >= 31).all()
    enlarged = of_row(photos, "base_vae_enlarged", "rkd_effnet", FINE).to_numpy()
    assert (of_row(photos, "davae", "rkd_effnet", FINE).to_numpy() <= enlarged / 3).all()


def test_detail_buys_a_decibel(photos):
    full = of_row(photos, "davae", "psnr_db").to_numpy()
    for row in ("no_detail", "davae_zeroed"):
        assert (full >= of_row(photos, row, "psnr_db").to_numpy() + 1).all(), row


def test_samples_of_photographs_are_recognised(photos):
    assert (of_row(photos, "adapted", "probe_accuracy") >= 0.8).all()


UNMET = pytest.mark.xfail(strict=True, reason="1.21%, as docs/evaluating.md says")


@pytest.mark.parametrize("preset", ["tiny_photos", pytest.param("tiny", marks=UNMET)])
def test_the_shipped_base_model_has_stopped_improving(preset):
    """The held-out loss falls by less than 1% over the last quarter of the training."""
    falls = of_row(runs_of(preset), "stage:base_dit", "heldout_base_last_quarter_fall_percent")
    assert (falls < 1).all()


def test_the_shipped_autoencoders_on_scenes():
    frame = runs_of("tiny")
    assert (of_row(frame, "base_vae", "psnr_db") >= 30).all()
    assert (of_row(frame, "davae", "detail_accuracy") >= 0.97).all()
    assert (of_row(frame, "davae_zeroed", "detail_accuracy") - 0.25).abs().max() <= 0.04


def test_what_is_shipped_is_small():
    weights = sum(path.stat().st_size for path in STORE.rglob("*.safetensors"))
    assert 0 < weights <= 45e6
    everything = sum(path.stat().st_size for path in RESULTS.rglob("*") if path.is_file())
    assert everything <= 70e6


@pytest.mark.parametrize("protocol", [FINE, CONTENT])
@pytest.mark.parametrize("control", ["control", "control_decoded"])
def test_adapted_samples_of_photographs_lie_nearer_than_the_controls(photos, control, protocol):
    frame = photos.set_index(["seed", "arm", "metric"]).sort_index()
    for seed in photos["seed"].unique():
        rows = frame.loc[seed]
        rows = rows[rows["protocol"].str.contains(protocol)]["value"]
        assert rows["adapted", "gkd_effnet"] < rows[control, "gkd_effnet"], seed


@pytest.fixture(scope="module")
def scenes():
    """`tiny` on scenes: {(arm, metric): {(base seed, seed): value}}."""
    frame = runs_of("tiny")
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
    """Not below the control's by more than 0.03. Through the decoder without detail the interval of
    three seeds reaches 0.0315, so that it is not shown: docs/evaluating.md says so."""
    adapted, control = (
        of_base_seed(scenes[arm, "content_accuracy"], 0) for arm in ("adapted", "control")
    )
    assert paired_difference(adapted, control).low >= -0.03
