"""Every declared ablation: its arms are experiments, its claims name arms and metrics it has."""

import importlib
import pkgutil

import pytest

import ablations

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
