"""Ablations whose arms sample from one adapted model."""

import pytest

from ablations.guidance import ABLATION
from davae.core import records
from davae.core.presets import PRESETS
from davae.sweep.execute import run_ablation

TWO = ("scale 1", "scale 3")


def test_seeds_are_those_of_the_noise_and_nothing_is_trained():
    base = ABLATION.base("smoke")
    assert base == PRESETS["smoke"]
    seeded = [
        {arm.name: arm.stages() for arm in ABLATION.arms(ABLATION.seeded(base, seed))}
        for seed in (0, 1)
    ]
    adapted = {stages["adapted"].key for arms in seeded for stages in arms.values()}
    samples = {stages["samples"].key for arms in seeded for stages in arms.values()}
    assert len(adapted) == 1
    assert len(samples) == 2 * len(ABLATION.arms(base))
    arms = {arm.name: arm for arm in ABLATION.arms(ABLATION.seeded(base, 0))}
    run, first = PRESETS["smoke"], arms["scale 3"]
    assert first.experiment.sample == run.sample  # so that its samples are the run's
    assert first.stages()["samples"].key in {a["samples"].key for a in seeded[0].values()}


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
    assert (values == 2).all()  # other noise, other samples
    assert "seeds are those of the noise" in (folder / "table.md").read_text()


def test_an_unknown_arm_is_named(nano):
    pipeline, out, _ = nano
    with pytest.raises(ValueError, match="guidance has no arm scale 9; arms: scale 1, "):
        run_ablation(
            ABLATION, ABLATION.base("nano"), preset="nano", seeds=[0], pipeline=pipeline, out=out,
            names=("scale 9",),
        )  # fmt: skip
