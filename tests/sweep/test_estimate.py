"""How long stages will take, from those that have ended."""

import json

import pytest

from ablations.tokens import ABLATION, DAVAE
from davae.core.environment import machine
from davae.core.hashing import hashable
from davae.core.runtime import Runtime
from davae.core.store import MANIFEST, Store
from davae.stages.stage import rested_on
from davae.sweep.estimate import Costs

NATIVE = "native, 4 times the tokens"


def sampled(seed):
    """The sampling stages of two networks at a seed: their configs are the same."""
    base = ABLATION.seeded(ABLATION.base("tiny"), seed)
    arms = {arm.name: arm.stages() for arm in ABLATION.arms(base)}
    return {name: arms[name]["samples"].upstream["sampled"] for name in (DAVAE, NATIVE)}


def ended(store, stage, seconds):
    """Leave what a stage that took so long leaves, and all that it read."""
    runtime = Runtime()
    for one in rested_on([stage]):
        folder = store.folder(one.name, one.key)
        folder.mkdir(parents=True, exist_ok=True)
        inputs = {
            "config": {name: hashable(value) for name, value in one.config.items()},
            "upstream": {role: other.key for role, other in one.upstream.items()},
        }
        manifest = {
            "stage": one.name, "key": one.key, "inputs": inputs, "machine": machine(),
            "seconds": seconds,
            "runtime": {"device": "cpu", "dtype": runtime.dtype, "compile": runtime.compile,
                        "threads": runtime.threads},
        }  # fmt: skip
        (folder / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize("first", [DAVAE, NATIVE])
def test_what_samples_is_part_of_what_a_sampling_takes(tmp_path, first):
    store, took = Store(tmp_path, None), {DAVAE: 10.0, NATIVE: 40.0}
    stages = sampled(0)
    assert stages[DAVAE].config == stages[NATIVE].config
    for name in sorted(stages, key=lambda name: name != first):
        ended(store, stages[name], took[name])
    costs = Costs(store, Runtime())
    for name, stage in sampled(1).items():
        assert costs.seconds(stage) == pytest.approx(took[name])
