"""What stages take of a GPU's memory, and the settings under which they fit."""

from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from davae.core.presets import PRESETS
from davae.core.runtime import Runtime
from davae.core.store import Store
from davae.measure.imagined import Counting, casting, footprint, imagine, imagined_gpu, recomputing
from davae.models.davae import DAVAE
from davae.models.unweighted import davae_config
from davae.plan.stages import without_files
from davae.stages import memory
from davae.stages.fit import at_once, fit, settings
from davae.stages.memory import Need, need_of
from davae.stages.run_graph import run_stages
from davae.stages.stage import Pipeline, Stage

GIB = 2**30


def stage_of(name, role):
    e = without_files(PRESETS[name])
    return e, run_stages(e)[role]


def kept_by_hooks(run, parameters):
    """Bytes of the distinct storages that autograd saves, weights left out."""
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in parameters:
            kept[storage._cdata] = (storage.nbytes(), tensor)  # which keeps the number its own
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor), casting("bfloat16"):
        result = run()
    del result
    return sum(size for size, _ in kept.values())


TAKEN = list(
    pd.read_csv(Path(__file__).parents[2] / "results" / "h100" / "memory.csv").itertuples(False)
)
"""What stages took on an H100, backward pass and all (test_memory_measured.py there), GiB."""
TRAININGS = ("davae", "adapted", "control")
KEPT = {(one.preset, one.stage): one for one in TAKEN if not one.recomputed}


@pytest.mark.parametrize(
    "one",
    [one for one in TAKEN if one.recomputed or one.stage not in TRAININGS],
    ids="{0.preset}-{0.stage}".format,
)
def test_a_stage_takes_what_it_took_on_an_h100(one):
    need = need_of(*stage_of(one.preset, one.stage))
    need = need.recomputed if one.recomputed else need
    assert need.first_part(one.samples_at_once) / GIB == pytest.approx(one.taken_gib, rel=0.03)


@pytest.mark.parametrize(
    ("preset", "role"),
    [("imagenet512", "davae"), ("imagenet512", "adapted"), ("imagenet512", "control"),
     ("imagenet512", "no_detail_decoder"), ("sd35m_1k", "davae"), ("sd35m_1k", "adapted"),
     ("sd35m_2k", "davae"), ("sd35m_2k", "adapted")],
)  # fmt: skip
def test_what_a_training_takes_is_what_autograd_saves(preset, role, monkeypatch):
    e, stage = stage_of(preset, role)
    e = replace(e, adapt=replace(e.adapt, stored_prompts=False))  # as KEPT was measured
    seen = {}

    def by_hooks(run, held, most, setting, dtype="bfloat16"):
        weights = {p.untyped_storage()._cdata for n in seen["networks"] for p in n.parameters()}
        one, two = (kept_by_hooks(lambda n=n: run(n), weights) for n in (1, 2))
        return Need(held, two - one, most, setting)

    trained = memory.training

    def training(run, networks, config, recompute=None):
        seen["networks"] = networks
        return trained(run, networks, config, None)

    monkeypatch.setattr(memory, "training", training)
    counted = need_of(e, stage)
    monkeypatch.setattr(memory, "growing", by_hooks)
    saved = need_of(e, stage)
    assert counted.of_one == pytest.approx(saved.of_one, rel=0.15)
    if (preset, role) in KEPT:
        one = KEPT[preset, role]
        assert counted.first_part(one.samples_at_once) / GIB == pytest.approx(
            one.taken_gib, rel=0.01
        )


@pytest.mark.parametrize("recompute", [False, True])
def test_a_real_training_step_takes_as_much(recompute):
    e = PRESETS["tiny"]
    config, side = asdict(davae_config(e)), e.latent_size

    def loss(model, image, latent):
        mean = model.detail_moments(image)[0]
        return model.decode_raw(torch.cat([latent, mean], 1)).square().mean()

    def shapes(n):
        return torch.zeros(n, 3, 64, 64), torch.zeros(n, config["latent_channels"] - 12, side, side)

    model = DAVAE(**config)
    if recompute:
        model.enable_gradient_checkpointing()
    given, real = shapes(8), Counting()
    with real:
        loss(model, *given).backward()
    with imagined_gpu():
        imagined, given = imagine(lambda: DAVAE(**config)), shapes(8)
        if recompute:
            with recomputing(imagined):
                found = footprint(lambda: loss(imagined, *given), "float32")
        else:
            found = footprint(lambda: loss(imagined, *given), "float32")
    assert found.peak == pytest.approx(real.live.peak, rel=0.05)


def test_recomputing_changes_no_gradient():
    torch.manual_seed(0)
    model = DAVAE(**asdict(davae_config(PRESETS["nano"])))
    image, found = torch.randn(2, 3, *[PRESETS["nano"].data.resolution_px] * 2), []
    for recompute in (False, True):
        if recompute:
            model.enable_gradient_checkpointing()
        model.zero_grad()
        model.detail_moments(image)[0].square().sum().backward()
        found.append([p.grad.clone() for p in model.detail_encoder.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


LESS = Need(11 * GIB, GIB // 2, 16, "micro_batch")
NEED = Need(10 * GIB, GIB, 16, "micro_batch", lambda: LESS)
STAGE = Stage("davae", 1, lambda work: None, {})
CUDA = {"compile": False}


def test_equal_parts_of_the_batch_are_taken_where_they_cost_little():
    assert [at_once(NEED, gib * GIB) for gib in (10, 11, 13, 17, 25, 26, 99)] == [
        0, 1, 2, 4, 8, 16, 16,
    ]  # fmt: skip
    assert at_once(replace(NEED, most=13), 20 * GIB) == 10  # 1 is its only smaller part


def test_activations_are_recomputed_where_nothing_else_fits():
    asked = Runtime("cuda", **CUDA)
    whole = fit("davae", STAGE, NEED, 30 * GIB, asked)
    assert (whole.count, whole.recomputed, whole.settings) == (16, False, {})
    parts = fit("davae", STAGE, NEED, 15 * GIB, asked)
    assert (parts.count, parts.settings, parts.bytes) == (4, {"micro_batch": 4}, 14 * GIB)
    large = replace(NEED, of_one=9 * GIB)
    less = fit("davae", STAGE, large, 16 * GIB, asked)
    assert less.settings == {"micro_batch": 8, "checkpoint_activations": True}
    assert settings({"davae": less, "other": whole}) == {STAGE.key: less.settings}


def test_the_average_goes_to_the_host_where_nothing_else_fits():
    asked, need = Runtime("cuda", **CUDA), replace(NEED, average=4 * GIB)
    assert not fit("davae", STAGE, need, 11 * GIB, asked).on_host
    moved = fit("davae", STAGE, need, int(10.9 * GIB), asked)  # 6 GiB and 1 a sample
    assert moved.settings == {"micro_batch": 4, "ema_on_host": True}
    assert moved.bytes == 10 * GIB
    both = fit("davae", STAGE, replace(need, of_one=9 * GIB), 8 * GIB, asked)
    assert both.settings == {"micro_batch": 2, "checkpoint_activations": True, "ema_on_host": True}
    given = Runtime("cuda", ema_on_host=True, **CUDA)
    assert fit("davae", STAGE, need, 30 * GIB, given).bytes == 22 * GIB
    assert fit("davae", STAGE, NEED, 30 * GIB, given).settings == {}  # there is no average
    with pytest.raises(ValueError, match=r"--runtime.ema_on_host True.*what fits: no setting"):
        fit("davae", STAGE, need, 5 * GIB, given)


def test_what_is_asked_for_and_does_not_fit_is_refused_with_what_would():
    with pytest.raises(ValueError, match=r"26\.0 GiB with --runtime.micro_batch 16.*micro_batch 4"):
        fit("davae", STAGE, NEED, 15 * GIB, Runtime("cuda", micro_batch=16, **CUDA))
    kept = fit("davae", STAGE, NEED, 15 * GIB, Runtime("cuda", micro_batch=2, **CUDA))
    assert kept.settings == {"micro_batch": 2}
    asked = Runtime("cuda", micro_batch=8, checkpoint_activations=True, **CUDA)
    assert fit("davae", STAGE, NEED, 15 * GIB, asked).bytes == 15 * GIB
    with pytest.raises(ValueError, match="what fits: no setting; on a100 or h100 or h200"):
        fit("davae", STAGE, NEED, 5 * GIB, Runtime("cuda", **CUDA))


def test_a_stage_runs_under_settings_of_its_own(tmp_path):
    seen = {}
    stages = {
        name: Stage(name, 1, lambda work, n=name: seen.update({n: work.runtime.micro_batch}), {})
        for name in "ab"
    }
    pipeline = Pipeline(
        Store(tmp_path), Runtime(), lambda text: None, {stages["b"].key: {"micro_batch": 3}}
    )
    for stage in stages.values():
        pipeline.path(stage)
    assert seen == {"a": 0, "b": 3}


def test_gradients_are_there_when_a_second_part_starts():
    need = Need(fixed=100, of_one=10, most=8, setting="micro_batch", gradients=30)
    assert need.bytes(8) == need.first_part(8) == 180
    assert need.bytes(7) == 200  # more than all at once
    assert [at_once(need, room) for room in (180, 179, 170, 139)] == [8, 4, 4, 0]
