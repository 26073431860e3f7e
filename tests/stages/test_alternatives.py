"""Other ways to the high resolution."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from davae.core.experiment import BaseVAEConfig
from davae.core.presets import PRESETS
from davae.core.runtime import Runtime
from davae.core.store import SUMMARY, read_log
from davae.data.shards import Shards
from davae.models.families.registry import FAMILIES
from davae.models.regressor import DetailRegressor
from davae.stages import transformer
from davae.stages.artifacts import MODEL
from davae.stages.graph import graph
from davae.stages.transformer import adaptation_flops, further_terms, matched
from davae.train.loop import Trainer
from davae.train.regressor import regressor_task
from davae.train.transformer import LatentSet, transformer_task

NANO = PRESETS["nano"]


def trained_flops(folder):
    summary = json.loads((folder / SUMMARY).read_text())
    return summary["steps"] * summary["flops_step"], summary["flops_step"]


@pytest.mark.parametrize(("method", "network"), [("native", "native"), ("regressed", "regressor")])
def test_a_method_makes_images_from_the_flops_of_the_adaptation(nano, method, network):
    pipeline, _, _ = nano
    stages = graph(replace(NANO, method=method))
    images = np.load(pipeline.path(stages["samples"]) / "images.npy")
    assert images.shape == (NANO.data.eval_crops, 3, 64, 64)
    pipeline.path(stages["generation"])
    assert "adapted" not in stages  # nothing is trained to know them
    given, _ = trained_flops(pipeline.path(graph(NANO)["adapted"]))
    taken, step = trained_flops(pipeline.path(stages[network]))
    assert abs(taken - given) <= 0.5 * step + 0.01 * given or taken == step  # at least one


@pytest.mark.parametrize(
    "changed", [{}, {"detail_lag": (0.1, 0.2)}, {"lora_rank": 4}, {"init": "scratch"}]
)
def test_the_flops_of_an_adaptation_are_known_without_it(nano, changed):
    """As its training counts them, with whatever it adds to the network."""
    pipeline, _, _ = nano
    e = replace(NANO, adapt=replace(NANO.adapt, **changed))
    stages = graph(e)
    base = FAMILIES["lightning"].load(pipeline.path(stages["base_dit"]) / MODEL)
    per_step = e.adapt.train.batch_size * adaptation_flops(base, e.adapt, 12)
    counted = trained_flops(pipeline.path(stages["adapted"]))[1]
    assert per_step == pytest.approx(counted, rel=1e-3)


def test_matched_steps_take_the_flops():
    train = replace(NANO.adapt.train, steps=1_000, snapshots=(500,))
    for adaptation, own, steps in ((12, 10, 1_200), (10, 47, 213), (1, 10_000, 1)):
        found = matched(train, adaptation, own)
        assert (found.steps, found.snapshots) == (steps, ())


def test_a_control_has_the_further_terms_of_the_adaptations_loss(nano):
    """By the release's recipe; by the paper's there are none, and its keys are as they were."""
    pipeline, _, _ = nano
    released = replace(NANO, method="control", adapt=replace(NANO.adapt, cosine_weight=1.0))
    assert graph(released)["control"].version == 2
    log = read_log(pipeline.path(graph(released)["control"]))
    assert all(line["cosine"] > 0 for line in log if "loss" in line)
    of_paper = graph(replace(NANO, method="control"))["control"]
    assert of_paper.version == 1
    assert "cosine" not in read_log(pipeline.path(of_paper))[1]
    terms = further_terms(replace(NANO.adapt, min_snr_gamma=5.0, detail_lag=(0.1, 0.2)))
    assert (terms.min_snr_gamma, terms.detail_lag) == (5.0, (0.0, 0.0))


@pytest.mark.parametrize(("method", "network"), [("control", "control"), ("repeat", "repeated")])
def test_what_stands_beside_an_adaptation_trains_on_its_crops(nano, method, network, monkeypatch):
    """On the first ones, whose detail is stored, so that it has seen neither more nor other data
    than the method."""
    pipeline, _, _ = nano
    seen = []

    def watched(name, denoiser, data, *args, **kwargs):
        seen.append((len(data.latents), len(data.conditions)))
        return transformer_task(name, denoiser, data, *args, **kwargs)

    monkeypatch.setattr(transformer, "transformer_task", watched)
    for count in (40, 44):
        some = replace(NANO, method=method, adapt=replace(NANO.adapt, train_crops=count))
        pipeline.path(graph(some)[network])
    assert seen == [(40, 40), (44, 44)]


def test_the_native_model_sees_four_times_the_positions(nano):
    pipeline, _, _ = nano
    stages = graph(replace(NANO, method="native"))
    base = Shards(pipeline.path(stages["base_latents"]) / "heldout")[:].numpy()
    native = Shards(pipeline.path(stages["native_latents"]) / "heldout")[:].numpy()
    assert native.shape == (*base.shape[:2], 2 * base.shape[2], 2 * base.shape[3])


def test_the_native_models_vae_was_trained_on_at_the_full_resolution(nano):
    """From the base VAE's weights, so that a VAE that is pretrained at its resolution stays as it
    is; its factors are those of the latents there, which the model's samples are decoded by."""
    pipeline, _, _ = nano
    stages = graph(replace(NANO, method="native"))
    vae, base = (
        AutoencoderKL.from_pretrained(pipeline.path(stages[role]) / MODEL)
        for role in ("native_vae", "base_vae")
    )
    both = zip(vae.parameters(), base.parameters(), strict=True)
    drifts = [(a - b).norm() / b.norm() for a, b in both]
    assert 0 < torch.stack(drifts).median() < 0.5  # other networks are about 1.4 apart
    latents = Shards(pipeline.path(stages["native_latents"]) / "train")[:]
    normalised = (latents - vae.config.shift_factor) * vae.config.scaling_factor
    assert abs(normalised.mean()) < 1e-3
    assert abs(normalised.std() - 1) < 1e-3
    assert stages["samples"].upstream["base_vae"] is stages["native_vae"]
    terms = replace(NANO.davae, haar_weight=8.0, l2_weight=2.0)
    weighted = graph(replace(NANO, method="native", davae=terms))["native_vae"]
    assert {"haar", "l2"} <= read_log(pipeline.path(weighted))[1].keys()  # the DA-VAE's terms
    trained = replace(NANO.base_vae, pretrained="vae", train=BaseVAEConfig().train)
    stages = graph(replace(NANO, method="native", base_vae=trained))
    assert stages["native_vae"] is stages["base_vae"]


def test_a_regressor_learns_a_function_of_z(tmp_path):
    torch.manual_seed(0)
    z = torch.randn(256, 4, 8, 8)
    latents = torch.cat([z, 0.5 * z.flip(1), -z], 1)  # the detail is a function of z
    data = LatentSet(latents, torch.zeros(256).long())
    model = DetailRegressor(base_channels=4, detail_channels=8, width=32, depth=1)
    train = replace(NANO.adapt.train, steps=120, batch_size=32, lr=5e-3, ema_decay=0.0)
    task = regressor_task(model, data, data.first(64), 0)
    with torch.no_grad():
        before = task.evaluate()["heldout_error"]
    Trainer(task, train, Runtime(), tmp_path).run()
    with torch.no_grad():
        assert task.evaluate()["heldout_error"] < 0.1 * before
