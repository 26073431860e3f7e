"""How many images a second a method makes."""

import time
from dataclasses import replace

import pytest

from davae.core.experiment import SampleConfig
from davae.core.presets import PRESETS
from davae.core.records import read_measurements
from davae.core.runtime import Runtime
from davae.core.store import Store
from davae.stages.graph import analyses
from davae.stages.methods import method_of
from davae.stages.speed import speed_stage
from davae.stages.stage import Pipeline, Stage


def test_speed_is_that_of_a_quiet_moment(tmp_path):
    """Of all stages from the sampled latents on, at 4 images of 20 ms and 10 ms; the first attempt,
    beside other work, does not tell, nor does what the store has of them."""
    attempts = []

    def sample(work, sample, count):
        attempts.append(count)
        time.sleep(0.02 * count + (0.5 if len(attempts) == 2 else 0.0))
        (work.folder / "count").write_text(str(count))

    def decode(work):
        time.sleep(0.01 * int((work.inputs["sampled"] / "count").read_text()))

    config = {"sample": SampleConfig(batch_size=2), "count": 6}
    trained = Stage("adapted", 1, lambda work: None, {})
    sampled = Stage("sampled", 1, sample, config, {"dit": trained})
    pipeline = Pipeline(Store(tmp_path, None), Runtime(), lambda text: None)
    stage = speed_stage(Stage("samples", 1, decode, {}, {"sampled": sampled}), "adapted")
    assert stage.upstream["dit"] is trained
    ((row, speed),) = read_measurements(pipeline.path(stage))
    assert attempts == [6, 4, 4, 4]  # the images themselves, then those of the attempts
    assert row == "adapted"
    assert speed.value == pytest.approx(1 / 0.03, rel=0.1)
    assert speed.higher_is_better


@pytest.mark.parametrize("method", ["davae", "native", "regressed", "control_decoded"])
def test_every_method_has_a_speed(nano, method):
    e = replace(PRESETS["nano"], method=method)
    ((row, speed),) = read_measurements(nano[0].path(analyses(e)["speed"]))
    assert row == method_of(e).row
    assert speed.value > 0
    assert speed.n == min(e.data.eval_crops, 2 * e.sample.batch_size)
