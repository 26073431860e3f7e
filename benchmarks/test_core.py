"""Three cases that everything rests on: VAE decode, DiT forward, and sampling end to end.

Weights are random (speed does not depend on them) and sizes are those of the CPU presets, so that
`pytest benchmarks/ --benchmark-json out.benchmark.json` runs anywhere in a minute.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
import torch

from davae.core.experiment import Experiment
from davae.core.presets import PRESETS
from davae.measure.flops import count_flops, dit_forward_flops
from davae.measure.timing import timed
from davae.models.adapt import adapt
from davae.models.base_vae import build_base_vae
from davae.models.davae import DAVAE, DAVAEConfig
from davae.models.dit import DiT
from davae.models.families.lightning import guided, network
from davae.stages.samples import sample_latents

CLASSES = 13


def build(e: Experiment) -> tuple[DAVAE, DiT]:
    """A DA-VAE and a widened DiT of the experiment's shapes with random weights."""
    torch.manual_seed(0)
    davae = DAVAE(
        **asdict(DAVAEConfig.of_base(build_base_vae(e.base_vae), e.davae.detail_channels))
    )
    dit = network(e.base_dit, e.base_vae.latent_channels, e.latent_size, CLASSES)
    adapt(dit, e.davae.detail_channels)
    return davae.eval().to(memory_format=torch.channels_last), dit.eval()


def measure(
    benchmark: Any,
    run: Callable[[], torch.Tensor],
    e: Experiment,
    preset: str,
    batch: int,
    **about: Any,
) -> None:
    """Count, warm up and time `run`, and write the scenario beside the timings."""
    first, _ = timed(run)
    flops, result = count_flops(run)
    assert torch.isfinite(result).all()
    benchmark.extra_info.update(
        preset=preset,
        seed=0,
        weights="random",
        resolution_px=e.data.resolution_px,
        dtype="float32",
        tokens=(e.latent_size // e.base_dit.patch_size) ** 2,
        batch=batch,
        channels=e.base_vae.latent_channels + e.davae.detail_channels,
        first_call_s=first,
        timer="perf_counter",
        flops=flops,
        flops_image=flops / batch,
        threads=torch.get_num_threads(),
        device="cpu",
        compile=False,
        attention="sdpa",
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        **about,
    )
    benchmark.pedantic(run, rounds=10, warmup_rounds=2)


def test_vae_decode(benchmark: Any) -> None:
    """The DA-VAE's decoder at `tiny`, batch 8."""
    e = PRESETS["tiny"]
    davae, _ = build(e)
    z = torch.randn(8, davae.config.latent_channels, e.latent_size, e.latent_size)
    params = sum(p.numel() for p in (*davae.decoder.parameters(), *davae.detail_up.parameters()))
    about = {"stage": "decode", "model": e.names()["davae"], "params": params}
    measure(benchmark, lambda: davae.decode(z).sample, e, "tiny", 8, **about)


def test_dit_forward(benchmark: Any) -> None:
    """One forward of the widened DiT at `tiny`, batch 32."""
    e = PRESETS["tiny"]
    _, dit = build(e)
    x, t = torch.randn(32, dit.config.in_channels, e.latent_size, e.latent_size), torch.rand(32)
    y = torch.arange(32) % CLASSES
    params = sum(p.numel() for p in dit.parameters())
    closed = dit_forward_flops(e.latent_size**2, e.base_dit.hidden_size, e.base_dit.depth, batch=32)
    about = {
        "stage": "denoise",
        "model": e.names()["davae"],
        "params": params,
        "flops_closed_form": closed,
    }
    measure(benchmark, lambda: dit(x, t, y), e, "tiny", 32, **about)


@pytest.mark.parametrize("preset", ["nano"])
def test_sampling(benchmark: Any, preset: str) -> None:
    """Noise to images: all steps with guidance, then the decoder; batch 16."""
    e = PRESETS[preset]
    davae, dit = build(e)
    noise = torch.randn(16, dit.config.in_channels, e.latent_size, e.latent_size)
    labels = torch.arange(16) % CLASSES

    def run() -> torch.Tensor:
        return davae.decode(sample_latents(guided(dit, labels, e.sample), noise, e.sample)).sample

    steps = e.sample.num_inference_steps
    about = {"steps": steps, "cfg_forwards": 2 * steps, "model": e.names()["davae"]}
    params = sum(p.numel() for p in (*dit.parameters(), *davae.parameters()))
    measure(benchmark, run, e, preset, 16, stage="end to end", params=params, **about)
