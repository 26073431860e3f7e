"""One denoising step of the full SD3.5-Medium shape, widened by 16 channels, at 1024 px (make
accept).

Random weights, float32: about 12 s and 10 GB. What it shows is that the real sizes run, and what
the plan counts."""

import resource
import time

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from davae.core.presets import PRESETS
from davae.measure.flops import count_flops
from davae.models.adapt import adapt
from davae.models.unweighted import architecture, davae_config
from davae.plan.count import count


@pytest.mark.accept
@torch.no_grad()
def test_a_denoising_step_of_sd35_medium_at_1024_px():
    e = PRESETS["sd35m_1k"]
    arch, config = architecture(e), davae_config(e)
    torch.manual_seed(0)
    transformer = arch.build().eval()
    assert sum(p.numel() for p in transformer.parameters()) == 2_243_171_520
    adapt(transformer, config.detail_channels)
    shapes = arch.inputs(1, config.latent_channels, e.latent_size)
    latent = torch.randn(shapes["hidden_states"].shape)
    text = {
        name: torch.randn(shapes[name].shape)
        for name in ("encoder_hidden_states", "pooled_projections")
    }
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(e.sample.num_inference_steps)
    start = time.perf_counter()
    flops, out = count_flops(
        lambda: transformer(latent, timestep=scheduler.timesteps[:1], **text, return_dict=False)[0]
    )
    after = scheduler.step(out, scheduler.timesteps[0], latent).prev_sample
    seconds, peak = (
        time.perf_counter() - start,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    )
    print(f"{seconds:.1f} s, {flops / seconds / 1e9:.0f} GFLOP/s, peak {peak / 2**30:.1f} GiB")
    assert latent.shape == (1, 32, 64, 64)  # 1024 px and 32 x 32 tokens
    assert flops == count(e).forward
    assert torch.isfinite(after).all()
    assert out[:, :16].std() > 1e-3
    assert not out[:, 16:].any()  # step 0: no velocity for the detail
    assert torch.equal(after[:, 16:], latent[:, 16:])
    assert not torch.equal(after[:, :16], latent[:, :16])
    assert seconds < 60
    assert peak < 14 * 2**30
