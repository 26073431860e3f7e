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
from davae.stages.speed import remade, speed_stage
from davae.stages.stage import Pipeline, Stage, Work


def test_speed_is_that_of_a_quiet_moment(tmp_path):
    """Of all stages from the sampled latents on, at 4 images of 100 ms and 50 ms; the first
    attempt, beside other work, does not tell, nor does what the store has of them."""
    attempts = []

    def sample(work, sample, count):
        attempts.append(count)
        time.sleep(0.1 * count + (0.5 if len(attempts) == 2 else 0.0))
        (work.folder / "count").write_text(str(count))

    def decode(work):
        time.sleep(0.05 * int((work.inputs["sampled"] / "count").read_text()))

    config = {"sample": SampleConfig(batch_size=2), "count": 6}
    trained = Stage("adapted", 1, lambda work: None, {})
    sampled = Stage("sampled", 1, sample, config, {"dit": trained})
    pipeline = Pipeline(Store(tmp_path, None), Runtime(), lambda text: None)
    stage = speed_stage(Stage("samples", 1, decode, {}, {"sampled": sampled}), "adapted")
    assert stage.upstream["dit"] is trained
    ((row, speed),) = read_measurements(pipeline.path(stage))
    assert attempts == [6, 4, 4, 4]  # the images themselves, then those of the attempts
    assert row == "adapted"
    assert speed.value == pytest.approx(1 / 0.15, rel=0.1)
    assert speed.higher_is_better


def test_samples_of_another_kind_have_no_speed():
    """Where nothing is called `sampled`, or two are; and what two stages read is made once."""
    trained = Stage("adapted", 1, lambda work: None, {})
    config = {"sample": SampleConfig(), "count": 6}
    sampled = Stage("sampled", 1, lambda work: None, config, {"dit": trained})
    other = replace(sampled, config={**config, "count": 7})
    for read in ({"sampled": replace(sampled, name="solved")}, {"a": sampled, "b": other}):
        assert speed_stage(Stage("samples", 1, lambda work: None, {}, read), "adapted") is None


def test_what_two_stages_read_is_sampled_once(tmp_path):
    made = []

    def make(work, **config):
        made.append(work.folder.name)

    config = {"sample": SampleConfig(), "count": 6}
    sampled = Stage("sampled", 1, make, config, {"dit": Stage("adapted", 1, make, {})})
    completed = Stage("completed", 1, make, {}, {"sampled": sampled})
    images = Stage("samples", 1, make, {}, {"sampled": sampled, "completed": completed})
    stage = speed_stage(images, "adapted")
    inputs = {role: tmp_path for role in stage.upstream}
    assert remade(images, Work(tmp_path, inputs, Runtime()), 4) > 0
    assert made == [sampled.key, completed.key, images.key]


@pytest.mark.parametrize("method", ["davae", "native", "regressed", "control_decoded"])
def test_every_method_has_a_speed(nano, method):
    e = replace(PRESETS["nano"], method=method)
    ((row, speed),) = read_measurements(nano[0].path(analyses(e)["speed"]))
    assert row == method_of(e).row
    assert speed.value > 0
    assert speed.n == min(e.data.eval_crops, 2 * e.sample.batch_size)
