"""Alignment by what the frozen base transformer sees."""

from dataclasses import asdict

import pytest
import torch

from davae.core.experiment import BaseVAEConfig
from davae.models.base_vae import autoencoder
from davae.models.dit import DiT, DiTConfig
from davae.train.generation import GenerationAlignment


@pytest.fixture
def aligned():
    torch.manual_seed(0)
    dit = DiT(**asdict(DiTConfig(hidden_size=32, depth=4, num_heads=2, input_size=4)))
    for parameter in dit.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    vae = autoencoder(BaseVAEConfig(block_out_channels=(16, 16, 32), norm_num_groups=8))
    return GenerationAlignment(dit, vae, 3, 2)


def drawn(detail):
    torch.manual_seed(1)
    return (
        detail, torch.randn(5, 4, 4, 4), torch.rand(5, 3, 32, 32) * 2 - 1, torch.rand(5),
        torch.randn(5, 7, 4, 4), torch.randn(5, 4, 8, 8),
    )  # fmt: skip


def test_the_detail_matters_once_its_layer_has_moved(aligned):
    detail = torch.randn(5, 3, 4, 4, requires_grad=True)
    first = aligned(*drawn(detail))
    assert 0 < first.item() < 2 * aligned.layers
    assert aligned.layers == 1
    first.backward()
    assert detail.grad.abs().sum() == 0
    assert aligned.embed.weight.grad.abs().sum() > 0
    torch.nn.init.normal_(aligned.embed.weight)
    aligned(*drawn(detail)).backward()
    assert detail.grad.abs().sum() > 0


def test_only_its_own_layers_are_trained_and_the_loss_falls(aligned):
    before = [p.clone() for network in aligned.frozen for p in network.parameters()]
    names = {name.partition(".")[0] for name, _ in aligned.named_parameters()}
    assert names == {"embed", "residual"}
    detail = torch.randn(5, 3, 4, 4, requires_grad=True)
    optimizer = torch.optim.Adam([detail, *aligned.parameters()], lr=0.02)
    losses = []
    for _ in range(30):
        loss = aligned(*drawn(detail))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < 0.5 * losses[0]
    after = [p for network in aligned.frozen for p in network.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_grid_is_enlarged_in_both_directions(aligned):
    tokens = torch.arange(16.0)[None, :, None].expand(1, 16, 2)  # rows of 4, row by row
    fine = aligned.enlarged(tokens)
    assert fine.shape == (1, 64, 2)
    assert fine[0, 0, 0] == 0
    assert fine[0, -1, 0] == 15
    assert fine[0, 1, 0] == pytest.approx(0.25)  # a quarter of the way to the next column
    assert fine[0, 8, 0] == pytest.approx(1.0)  # and to the next row
