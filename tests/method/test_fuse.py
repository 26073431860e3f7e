"""Widened layers fused into plain ones."""

import pytest
import torch
from torch import nn

from davae.method.fuse import fuse
from davae.models.adapt import adapt
from tests.method.test_widen import SHAPES, pair
from tests.small_models import small_dit, without_zeros


@torch.no_grad()
@pytest.mark.parametrize(("linear", "outermost"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize(("channels", "detail", "patch", "width"), SHAPES)
def test_the_function_stays(channels, detail, patch, width, linear, outermost):
    _, wide, _ = pair(channels, detail, patch, width, linear, outermost, init="random")
    wide = wide.double()
    x = torch.randn(3, channels + detail, 8, 8, dtype=torch.float64)
    if linear:
        x = torch.randn(3, 5, (channels + detail) * patch**2, dtype=torch.float64)
    before = wide(x)
    after = fuse(wide)(x)
    assert type(wide.embed) is (nn.Linear if linear else nn.Conv2d)
    assert type(wide.head) is nn.Linear
    torch.testing.assert_close(after, before, rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_a_dit_and_pipelines_transformers_fuse(small_transformers):
    for network, inputs in small_transformers:
        before = network(**inputs)
        after = fuse(network)(**inputs)
        for a, b in zip(outputs(before), outputs(after), strict=True):
            torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-5)


def outputs(out):
    """The tensors of a transformer's output."""
    return [out] if isinstance(out, torch.Tensor) else [out[0]]


@pytest.fixture
def small_transformers():
    """A widened network of every family, none of whose layers is zero, and its arguments."""
    from benchmarks.networks import random_like, small_flux, small_sd3
    from davae.models.families import flux, sd3

    dit = without_zeros(small_dit(detail=12))
    x, t, y = torch.randn(2, 16, 8, 8), torch.rand(2), torch.zeros(2).long()
    found = [(dit, {"x": x, "t": t, "y": y})]
    for build, family in ((small_sd3, sd3), (small_flux, flux)):
        torch.manual_seed(0)
        network = build()
        adapt(network, 16, init="random", generator=torch.Generator().manual_seed(0))
        given = family.inputs(2, 32, 8)
        given["encoder_hidden_states"] = given["encoder_hidden_states"][..., :32]
        found.append((network.eval(), random_like(given, "cpu", torch.float32)))
    return found


def test_a_fused_network_is_not_saved_and_a_plain_one_not_fused(tmp_path):
    fused = fuse(small_dit(detail=4))
    with pytest.raises(ValueError, match="save it before"):
        fused.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="no widened layers"):
        fuse(small_dit())
