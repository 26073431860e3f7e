"""An ablation whose arms sample one adaptation, and chosen arms."""

import pytest

from ablations import components
from ablations.components import FULL, PLAIN
from ablations.guidance import ABLATION
from davae.core import records
from tests.sweep.running import run_ablation

TWO = ("scale 1", "scale 3")


def test_scales_are_of_one_adaptation_and_one_control_which_components_judges():
    def of(ablation, seed):
        return {
            arm.name: arm.stages()
            for arm in ablation.arms(ablation.seeded(ablation.base("tiny"), seed))
        }

    for seed in (0, 1):
        arms, judged = of(ABLATION, seed), of(components.ABLATION, seed)
        ours = {name: stages for name, stages in arms.items() if "control" not in name}
        assert {s["adapted"].key for s in ours.values()} == {judged[FULL]["adapted"].key}
        controls = [stages["control"] for stages in arms.values() if "control" in stages]
        assert {stage.key for stage in controls} == {judged[PLAIN]["control"].key}
        assert len({stages["samples"].key for stages in arms.values()}) == len(arms)
        assert arms["scale 2"]["samples"].key == judged[FULL]["samples"].key  # the preset's scale


def test_chosen_arms_run_alone(nano):
    pipeline, out, _ = nano
    base = ABLATION.base("nano")
    folder = run_ablation(
        ABLATION, base, preset="nano", seeds=[0, 1], pipeline=pipeline, out=out, names=TWO
    )
    frame = records.load_records(folder)
    assert set(frame["arm"]) == set(TWO)
    assert set(frame["seed"]) == {0, 1}
    assert (frame["status"] == "ok").all()
    values = frame[frame["metric"] == "gkd_effnet"].groupby("arm")["value"].nunique()
    assert (values == 2).all()  # another adaptation, other samples


def test_an_unknown_arm_is_named(nano):
    pipeline, out, _ = nano
    with pytest.raises(ValueError, match=r"guidance has no arm scale 9\. Its arms: scale 1; "):
        run_ablation(
            ABLATION, ABLATION.base("nano"), preset="nano", seeds=[0], pipeline=pipeline, out=out,
            names=("scale 9",),
        )  # fmt: skip
