"""What a row's images cost in training: all that they rest on, once, and nothing else."""

import json
from types import SimpleNamespace

import pytest

from ablations.from_scratch import ABLATION as FROM_SCRATCH
from ablations.from_scratch import WIDENED_SCRATCH
from ablations.tokens import ABLATION as TOKENS
from ablations.tokens import DAVAE
from davae.core.store import MANIFEST, SUMMARY, Store
from davae.stages.costs import training_cost
from davae.stages.stage import rested_on

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
