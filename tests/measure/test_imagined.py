"""Memory on a GPU that is not there: by hand, and what a GPU that was there took."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from davae.core.presets import PRESETS
from davae.measure.imagined import footprint, imagine, imagined_gpu, recomputing, weights
from davae.method.latent import join
from davae.models.adapt import adapt
from davae.models.davae import DAVAE
from davae.models.unweighted import architecture, davae_config, first

MEASURED = Path(__file__).parents[2] / "results" / "h200" / "gpu.benchmark.json"


def test_what_a_backward_pass_keeps_by_hand():
    with imagined_gpu():
        network = imagine(lambda: nn.Sequential(nn.Linear(8, 16), nn.Sigmoid(), nn.Linear(16, 4)))
        x = torch.empty(10, 8)
        assert weights(network) == (4 * (8 * 16 + 16 + 16 * 4 + 4), 212)
        trained = footprint(lambda: network(x), "float32")
        with torch.no_grad():
            inferred = footprint(lambda: network(x), "float32")
    # the sigmoid keeps its output, the second product its input, which is that; the result is kept
    assert trained.kept == 4 * (10 * 16 + 10 * 4)
    # without gradients the first product's output goes when the sigmoid is done
    assert (inferred.kept, inferred.peak) == (4 * 10 * 4, 4 * 2 * 10 * 16)


def test_products_are_cast_with_their_weights():
    with imagined_gpu():
        network = imagine(lambda: nn.Linear(8, 16))
        seen = []
        found = footprint(lambda: seen.append(network(torch.empty(10, 8)).dtype), "bfloat16")
        again = footprint(lambda: network(torch.empty(10, 8)), "float32")
    assert seen == [torch.bfloat16]
    # what the backward pass needs: the cast input; weights in bfloat16 until the casting ends
    assert found.peak == 4 * 80 + 2 * 80 + 2 * (8 * 16) + 2 * 16 + 2 * 160
    assert again.peak == 4 * 80 + 4 * 160


def test_the_fused_kernel_keeps_no_scores():
    with imagined_gpu():
        q, k, v = (torch.empty(2, 3, 64, 16, requires_grad=True) for _ in range(3))
        found = footprint(lambda: F.scaled_dot_product_attention(q, k, v), "float32")
        named = footprint(lambda: F.scaled_dot_product_attention(query=q, key=k, value=v))
    assert found.kept == 4 * (2 * 3 * 64 * 16 + 2 * 3 * 64)
    assert named.kept < 2 * found.kept  # cast to half of it, and q, k and v cast beside it


class Blocks(nn.Module):
    """Three blocks that diffusers' networks would recompute."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.Sigmoid()) for _ in range(3))
        self.recompute = None

    def enable_gradient_checkpointing(self, function):
        self.recompute = function

    def disable_gradient_checkpointing(self):
        self.recompute = None

    def forward(self, x):
        for block in self.blocks:
            x = self.recompute(block, x) if self.recompute else block(x)
        return x


def test_recomputed_blocks_keep_what_goes_in_and_out():
    with imagined_gpu():
        network, x = imagine(Blocks), torch.empty(10, 8)
        whole = footprint(lambda: network(x), "float32")
        with recomputing(network):
            less = footprint(lambda: network(x), "float32")
        assert footprint(lambda: network(x), "float32") == whole
    each = 4 * 80
    assert whole.kept == less.kept == 3 * each  # nothing but the outputs is kept either way
    assert less.peak >= whole.peak


def wanted(case):
    """The measured peak in bytes."""
    for entry in json.loads(MEASURED.read_text())["benchmarks"]:
        if entry["name"] == f"test_scenario[{case}]":
            return entry["extra_info"]["peak_bytes"]
    raise AssertionError(case)


def autoencoder_peak(preset, stage, batch, half):
    """Weights, Adam's moments where it trains, and the most that is alive."""
    e = PRESETS[preset]
    dtype = torch.bfloat16 if half else torch.float32
    config, side = davae_config(e), e.latent_size
    network = imagine(lambda: DAVAE(**asdict(config)), dtype)
    held, trained = weights(network)
    image = torch.empty(batch, 3, e.data.resolution_px, e.data.resolution_px, dtype=dtype)
    latent = torch.empty(batch, config.latent_channels, side, side, dtype=dtype)

    def train():
        mean = network.detail_moments(image)[0]
        rebuilt = network.decode_raw(join(latent[:, : config.base_channels], mean))
        return rebuilt.float().square().mean()

    runs = {
        "decode": lambda: network.decode(latent).sample,
        "encode": lambda: network.encode(image).latent_dist.mode(),
        "train_vae": train,
    }
    with torch.set_grad_enabled(stage == "train_vae"):
        found = footprint(runs[stage], "float32" if half else "bfloat16")
    return held + (8 * trained if stage == "train_vae" else 0) + found.peak


AUTOENCODERS = [
    ("imagenet512", "decode", 16, "imagenet512-widened-decode-b16-bfloat16"),
    ("imagenet512", "encode", 16, "imagenet512-widened-encode-b16-bfloat16"),
    ("imagenet512", "train_vae", 4, "imagenet512-widened-train_vae-b4-bfloat16"),
    ("sd35m_1k", "decode", 10, "sd35m_1k-widened-decode-b10-1024px-bfloat16"),
    ("sd35m_1k", "encode", 4, "sd35m_1k-widened-encode-b4-bfloat16"),
    ("sd35m_2k", "decode", 2, "sd35m_1k-widened-decode-b2-2048px-bfloat16"),
]


@pytest.mark.parametrize(("preset", "stage", "batch", "case"), AUTOENCODERS)
def test_an_h200_took_as_much_for_autoencoders(preset, stage, batch, case):
    with imagined_gpu():  # text to image has its weights in bfloat16 there
        predicted = autoencoder_peak(preset, stage, batch, half=preset.startswith("sd35m"))
    assert predicted == pytest.approx(wanted(case), rel=0.03)


def test_an_h200_took_as_much_for_a_transformers_training():
    e, batch = PRESETS["imagenet512"], 64

    def build():
        network = architecture(e).build()
        adapt(network, e.davae.detail_channels)
        return network

    with imagined_gpu():
        network = imagine(build)
        given = architecture(e).inputs(batch, davae_config(e).latent_channels, e.latent_size)
        given = {name: value.to("cuda") for name, value in given.items()}
        held, trained = weights(network)
        found = footprint(lambda: first(network(**given)).float().square().mean())
    measured = wanted("imagenet512-widened-train-b64-bfloat16")
    assert held + 12 * trained + found.peak == pytest.approx(measured, rel=0.15)  # Adam and average
