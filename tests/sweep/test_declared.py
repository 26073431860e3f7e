"""Every declared ablation: its arms are experiments, its claims name arms and metrics it has."""

import importlib
import math
import pkgutil

import numpy as np
import pytest

import ablations
from davae.core.presets import PRESETS
from davae.sweep.ablation import Ablation, Arm

NAMES = sorted(
    m.name for m in pkgutil.iter_modules(ablations.__path__) if not m.name.startswith("_")
)


@pytest.mark.parametrize("preset", ["nano", "smoke", "tiny", "tiny_photos"])
@pytest.mark.parametrize("name", NAMES)
def test_an_ablation_holds_together(name, preset):
    ablation = importlib.import_module(f"ablations.{name}").ABLATION
    assert ablation.name == name
    arms = ablation.arms(ablation.seeded(ablation.base(preset), 1))
    names = [arm.name for arm in arms]
    assert len(set(names)) == len(names)
    assert sum(arm.reference for arm in arms) == 1
    assert len({arm.factor for arm in arms}) == 1
    keys = {ablation.key(arm) for arm in arms}
    assert len(keys) == len(arms)  # no two arms are one experiment
    for arm in arms:
        assert set(ablation.measured) <= set(arm.stages()), arm.name
    for claim in ablation.claims:
        # short trainings leave arms out
        if preset != "nano" and (name, preset) != ("from_scratch", "smoke"):
            assert {claim.a, claim.b} <= {*names, ""}, claim.text
        against = claim.against or claim.metric
        assert {claim.metric, against} <= set(ablation.metrics), claim.text
        assert (claim.a, claim.metric) != (claim.b, against), claim.text


def test_every_effect_has_a_margin():
    """Without one "no difference" could never be a finding."""
    for name in NAMES:
        for claim in importlib.import_module(f"ablations.{name}").ABLATION.claims:
            assert claim.kind == "mechanism" or claim.margin > 0, (name, claim.text)


def test_levels_and_names_that_cannot_be_recorded_are_refused():
    arm = Arm("a", "level", np.int64(3), PRESETS["nano"], np.bool_(1))
    assert (type(arm.level), type(arm.reference)) == (int, bool)
    with pytest.raises(ValueError, match="arm 'a': its level is inf; give a finite number"):
        Arm("a", "level", math.inf, PRESETS["nano"])
    with pytest.raises(ValueError, match=r"an ablation is called '\.\./esc'"):
        Ablation(name="../esc", question="?", arms=lambda base: (), metrics={})
