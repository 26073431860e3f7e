"""What a row's images cost: the training that they rest on, once, and their sampling."""

import json
import time
from types import SimpleNamespace

import pytest

from ablations.from_scratch import ABLATION as FROM_SCRATCH
from ablations.from_scratch import WIDENED_SCRATCH
from ablations.tokens import ABLATION as TOKENS
from ablations.tokens import DAVAE
from davae.core.experiment import SampleConfig
from davae.core.runtime import Runtime
from davae.core.store import MANIFEST, SUMMARY, Store
from davae.stages.costs import sampling_speed, training_cost
from davae.stages.stage import Pipeline, Stage, rested_on

TRAINED = {"base_vae": 1, "base_dit": 10, "davae": 100, "adapted": 1_000, "control": 10_000}
"""TFLOP of each training, so that a sum says of which it is."""


@pytest.mark.parametrize(
    ("ablation", "arm", "tflop"),
    [
        (TOKENS, DAVAE, 1_111),
        (FROM_SCRATCH, WIDENED_SCRATCH, 1_101),
        (TOKENS, "base enlarged, as it is", 11),
        (TOKENS, "base enlarged, trained longer", 10_011),
    ],
)
def test_the_cost_of_a_row_is_that_of_what_it_rests_on(tmp_path, ablation, arm, tflop):
    """From scratch the base transformer gives its shape alone, and a control needs no adaptation to
    take its FLOPs."""
    arms = {one.name: one for one in ablation.arms(ablation.base("tiny"))}
    stage = arms[arm].stages()["generation"]
    store = Store(tmp_path, None)
    for part in rested_on([stage]):
        folder = store.folder(part.name, part.key)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).write_text(json.dumps({"seconds": 3.0}))
        if part.name in TRAINED:
            counted = {"steps": 10, "flops_step": TRAINED[part.name] * 1e11}
            (folder / SUMMARY).write_text(json.dumps(counted))
    cost = {m.metric: m.value for m in training_cost(SimpleNamespace(store=store), stage)}
    assert cost["training_tflop"] == pytest.approx(tflop)
    assert cost["training_seconds"] == 3.0 * str(tflop).count("1")


def test_speed_is_that_of_a_quiet_moment(tmp_path):
    """Of all stages from the sampled latents on, at 4 images of 20 ms and 10 ms; the first attempt,
    beside other work, does not tell, nor does what the store has of them."""
    attempts = []

    def sample(work, sample, count):
        attempts.append(count)
        time.sleep(0.02 * count + (0.5 if len(attempts) == 1 else 0.0))
        (work.folder / "count").write_text(str(count))

    def decode(work):
        time.sleep(0.01 * int((work.inputs["sampled"] / "count").read_text()))

    config = {"sample": SampleConfig(batch_size=2), "count": 1_000}
    trained = Stage("adapted", 1, lambda work: None, {})
    sampled = Stage("sampled", 1, sample, config, {"dit": trained})
    pipeline = Pipeline(Store(tmp_path, None), Runtime(), lambda text: None)
    speed = sampling_speed(pipeline, Stage("samples", 1, decode, {}, {"sampled": sampled}))
    assert attempts == [4, 4, 4]
    assert speed.value == pytest.approx(1 / 0.03, rel=0.1)
    assert speed.higher_is_better
