"""Training the DA-VAE as a stage."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file

from davae.core.data_config import DataConfig
from davae.core.presets import PRESETS
from davae.core.runtime import Runtime
from davae.data.pixels import to_unit
from davae.data.shards import Shards
from davae.models.base_vae import normalise
from davae.models.davae import DAVAE
from davae.stages.artifacts import MODEL, class_names, crops
from davae.stages.autoencoder import encode_all, raw_detail
from davae.stages.data import base_images, make_crops, make_pool
from davae.stages.graph import graph
from davae.stages.stage import Stage

NANO = PRESETS["nano"]


def test_a_frozen_detail_encoder_keeps_the_base_vaes_weights(nano):
    pipeline = nano[0]
    train = replace(NANO.davae.train, steps=2, lr_warmup_steps=0)

    def trained(freeze):
        davae = replace(NANO.davae, freeze_encoder=freeze, train=train)
        stages = graph(replace(NANO, davae=davae))
        base = AutoencoderKL.from_pretrained(pipeline.path(stages["base_vae"]) / MODEL)
        return base, DAVAE.from_pretrained(pipeline.path(stages["davae"]) / MODEL)

    base, frozen = trained(True)
    encoder = {k: v for k, v in base.encoder.state_dict().items() if not k.startswith("conv_out")}
    kept = frozen.detail_encoder.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in encoder.items())
    _, free = trained(False)
    moved = free.detail_encoder.state_dict()
    assert any(not torch.equal(moved[name], value) for name, value in encoder.items())
    assert not torch.equal(frozen.decoder.conv_out.weight, base.decoder.conv_out.weight)


def test_a_details_statistics_are_of_the_crops_that_are_asked_for(nano):
    pipeline = nano[0]
    stages = graph(replace(NANO, davae=replace(NANO.davae, statistics_crops=24)))
    model = DAVAE.from_pretrained(pipeline.path(stages["davae"]) / MODEL)
    images = stages["davae"].upstream["crops"]
    modes = raw_detail(model, crops(pipeline.path(images), "train", 24)[0], Runtime())
    mean, std = (b[:, None, None] for b in (model.detail_mean, model.detail_std))
    seen = normalise((modes - mean) / std, model.config)  # as pipelines see it
    np.testing.assert_allclose(seen.mean((0, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(seen.std((0, 2, 3)), 1, rtol=2e-3)


def test_cached_base_latents_are_those_of_the_models_own_encoder(nano):
    """Also where the SD3.5 variant clamps the reduced image."""
    pipeline = nano[0]
    for clamp in (False, True):
        e = replace(NANO, davae=replace(NANO.davae, clamp_base=clamp))
        stages = graph(e)
        model = DAVAE.from_pretrained(pipeline.path(stages["davae"]) / MODEL)
        images = crops(pipeline.path(stages["crops"]), "heldout")[0][:16].copy()
        images[:, :, ::2] = 255  # stripes, which bicubic reduction overshoots
        cached = Shards(pipeline.path(stages["base_latents"]) / "heldout")[:16].numpy()
        own = model.encode_base(to_unit(crops(pipeline.path(stages["crops"]), "heldout")[0][:16]))
        np.testing.assert_allclose(cached, own.numpy(), rtol=1e-4, atol=1e-4)
    plain, clamped = (base_images(images, 2, False, clamp=c) for c in (False, True))
    assert plain.max() > 1.01
    assert clamped.max() == 1.0


def test_repeated_latents_hold_z_in_every_group(nano):
    pipeline = nano[0]
    stages = graph(replace(NANO, method="repeat"))
    repeated = Shards(pipeline.path(stages["repeated_latents"]) / "fresh")[:].numpy()
    base = Shards(pipeline.path(stages["base_latents"]) / "fresh")[:].numpy()
    assert repeated.shape == (len(base), 12, 8, 8)
    for channel in range(12):
        assert np.array_equal(repeated[:, channel], base[:, channel // 3])


def test_pooled_crops_come_in_turns(nano):
    small = {"resolution_px": 64, "train_crops": 26, "eval_crops": 96}
    sets = {name: Stage("crops", 1, make_crops, {"data": DataConfig(name=name, **small), "seed": 0})
            for name in ("photos", "scenes")}  # fmt: skip
    pool = nano[0].path(Stage("pool", 1, make_pool, {}, sets))
    images, labels = crops(pool, "train")
    assert len(images) == 52
    assert labels.tolist() == [0, 1] * 26
    for i, stage in enumerate(sets.values()):
        assert np.array_equal(images[i::2], crops(nano[0].path(stage), "train")[0])
    assert class_names(pool) == ["photos", "scenes"]


def test_rounded_weights_are_in_file_what_they_are_in_use(nano, tmp_path):
    train = replace(NANO.base_vae.train, steps=2, round_weights=True)
    stages = graph(replace(NANO, base_vae=replace(NANO.base_vae, train=train)))
    folder = nano[0].path(stages["base_vae"]) / MODEL
    stored = load_file(folder / "diffusion_pytorch_model.safetensors")
    assert {t.dtype for t in stored.values()} == {torch.bfloat16}
    vae = AutoencoderKL.from_pretrained(folder)
    assert all(torch.equal(p, stored[name].float()) for name, p in vae.named_parameters())
    images = base_images(crops(nano[0].path(stages["crops"]), "train")[0], 2, False)
    latents = encode_all(vae, images, nano[0].runtime)
    assert vae.config.shift_factor == pytest.approx(float(latents.mean()), rel=1e-5)


def test_a_davae_starts_from_the_weights_of_another(nano):
    pipeline = nano[0]
    untrained = replace(NANO.davae, train=replace(NANO.davae.train, steps=0))
    e = replace(NANO, davae_start=NANO.davae, davae=untrained)
    stage = graph(e)["davae"]
    own, start = (
        DAVAE.from_pretrained(pipeline.path(s) / MODEL).state_dict()
        for s in (stage, stage.upstream["start"])
    )
    assert all(torch.equal(own[name], value) for name, value in start.items())
    assert (pipeline.path(stage) / "start.txt").read_text() == ""
