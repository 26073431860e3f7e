"""An adaptation that keeps nothing of the pretrained network."""

from dataclasses import replace

import torch

from davae.core.presets import PRESETS
from davae.models.dit import DiT
from davae.stages.artifacts import MODEL
from davae.stages.graph import graph


def adapted(pipeline, init):
    """The widened network before its first step."""
    nano = PRESETS["nano"]
    adapt = replace(nano.adapt, init=init, train=replace(nano.adapt.train, steps=0))
    return DiT.from_pretrained(pipeline.path(graph(replace(nano, adapt=adapt))["adapted"]) / MODEL)


def test_scratch_draws_the_whole_network_anew(nano):
    pipeline, _, _ = nano
    base = DiT.from_pretrained(pipeline.path(graph(PRESETS["nano"])["base_dit"]) / MODEL)
    kept, scratch = adapted(pipeline, "zero"), adapted(pipeline, "scratch")
    assert kept.config.in_channels == scratch.config.in_channels > base.config.in_channels
    name = "blocks.0.attn.qkv.weight"
    assert torch.equal(kept.get_parameter(name), base.get_parameter(name))
    assert not torch.equal(scratch.get_parameter(name), base.get_parameter(name))
    assert scratch.get_parameter("x_embedder.proj.detail.weight").any()
