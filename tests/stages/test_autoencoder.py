"""Training the DA-VAE as a stage."""

from dataclasses import replace

import torch
from diffusers import AutoencoderKL

from davae.core.presets import PRESETS
from davae.models.davae import DAVAE
from davae.stages.artifacts import MODEL
from davae.stages.graph import graph

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
