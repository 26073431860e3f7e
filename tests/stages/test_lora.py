"""Adapters of the class-conditional transformer."""

from dataclasses import replace

import pytest
import torch

from davae.core.presets import PRESETS
from davae.models.adapt import (
    Lora,
    adapt,
    add_lora,
    load_adapters,
    lora_of,
    merge_lora,
    save_adapters,
    widened_layers,
)
from davae.models.dit import DiT
from davae.stages.artifacts import MODEL
from davae.stages.graph import graph
from davae.stages.inputs import input_problems
from tests.small_models import small_dit, without_zeros

NANO = PRESETS["nano"]


def inputs():
    random = torch.Generator().manual_seed(0)
    return torch.randn(2, 16, 8, 8, generator=random), torch.rand(2), torch.tensor([0, 3])


def test_merged_adapters_compute_what_the_adapters_did():
    dit = without_zeros(small_dit())
    adapt(dit, 12)
    x, t, y = inputs()
    plain = dit(x, t, y)
    names = set(dit.state_dict())
    add_lora(dit, lora_of("lightning", 3))
    torch.testing.assert_close(dit(x, t, y), plain)  # B is zero
    trained = {name for name, p in dit.named_parameters() if p.requires_grad}
    # qkv, proj, w3 and adaLN of the one block, and the final layer's adaLN; A and B each
    assert sum(".lora_" in name for name in trained) == 10
    assert all(".lora_" in name or name in widened_layers(dit) for name in trained)
    for name, parameter in dit.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(parameter, std=0.1)
    adapted = dit(x, t, y)
    assert (adapted - plain).abs().max() > 1e-3
    merge_lora(dit)
    assert set(dit.state_dict()) == names
    torch.testing.assert_close(dit(x, t, y), adapted, rtol=1e-4, atol=1e-5)


def test_a_run_with_adapters_leaves_a_plain_network(nano):
    pipeline, _, _ = nano
    e = replace(NANO, adapt=replace(NANO.adapt, lora_rank=2))
    stages = graph(e)
    found = DiT.from_pretrained(pipeline.path(stages["adapted"]) / MODEL)
    base = DiT.from_pretrained(pipeline.path(stages["base_dit"]) / MODEL)
    changed = {
        name for name, value in base.state_dict().items()
        if name in found.state_dict() and not torch.equal(value, found.state_dict()[name])
    }  # fmt: skip
    assert {"blocks.0.attn.qkv.weight", "blocks.0.mlp.w3.weight"} <= changed
    assert not {"blocks.0.mlp.w12.weight", "y_embedder.embedding_table.weight"} & changed
    pipeline.path(stages["generation"])


@pytest.mark.parametrize(
    "changed", [{"init": "scratch"}, {"detail_lag": (0.1, 0.2)}], ids=["scratch", "lag"]
)
def test_what_adapters_cannot_be_trained_with_is_said_before_anything_starts(changed):
    e = replace(NANO, adapt=replace(NANO.adapt, lora_rank=2, **changed))
    assert ["leave lora_rank 0" in problem for problem in input_problems(e)] == [True]
    assert input_problems(replace(e, adapt=replace(e.adapt, lora_rank=0))) == []
    assert input_problems(replace(NANO, adapt=replace(NANO.adapt, lora_rank=2))) == []


def test_adapters_of_other_layers_are_refused(tmp_path):
    dit, lora = small_dit(), lora_of("lightning", 2)
    add_lora(dit, Lora(2, 2, ("attn.qkv",)))
    save_adapters(dit, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"missing or unexpected: .*mlp\.w3"):
        load_adapters(small_dit(), tmp_path / "a.safetensors", lora)
    again = small_dit()
    load_adapters(again, tmp_path / "a.safetensors", Lora(2, 2, ("attn.qkv",)))
    own, other = (
        {k: v for k, v in m.state_dict().items() if ".lora_A." in k} for m in (dit, again)
    )
    assert own
    assert all(torch.equal(v, other[k]) for k, v in own.items())


def test_a_target_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="no linear layer of DiT ends in nowhere"):
        add_lora(small_dit(), Lora(2, 2, ("nowhere",)))
