"""The networks of the scenarios: presets' shapes, with random weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import torch
from diffusers import AutoencoderDC, FluxTransformer2DModel, SD3Transformer2DModel
from torch import nn
from transformers import PreTrainedModel

from benchmarks.scenarios import Scenario
from davae.core.experiment import Experiment
from davae.core.presets import PRESETS
from davae.method.fuse import fuse
from davae.models.adapt import adapt
from davae.models.davae import DAVAE
from davae.models.dit import DiT
from davae.models.families.family import Architecture
from davae.models.families.pipelines import clip_text
from davae.models.families.registry import family_of
from davae.models.streamline import streamline
from davae.models.unweighted import architecture, base_vae, davae_config, native_dit

SPREAD = 0.02
"""Standard deviation of random weights: nothing is computed on zeros, and nothing overflows."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
MODELS: dict[str, Experiment] = {
    **PRESETS,
    "lightning_b1": replace(
        PRESETS["imagenet512"],
        base_dit=replace(PRESETS["imagenet512"].base_dit, hidden_size=768, depth=12, num_heads=12),
    ),
}
"""The presets, and LightningDiT-B/1 on ImageNet's latents."""
SMALLER, SMALL_TEXT = 16, 32
"""The stand-ins' sides are smaller by this factor; features of their text."""


def experiment_of(s: Scenario) -> Experiment:
    """The model's experiment at the scenario's resolution."""
    if s.model not in MODELS:
        raise ValueError(f"there is no model {s.model!r}; models: {', '.join(MODELS)}, dcae_f32c32")
    e = MODELS[s.model]
    px = s.resolution_px or e.data.resolution_px
    if s.small:
        levels = len(e.base_vae.block_out_channels)
        vae = replace(e.base_vae, block_out_channels=(32,) * levels, layers_per_block=1)
        if family_of(e).conditions == "classes":
            e = replace(e, base_dit=replace(e.base_dit, hidden_size=64, depth=2, num_heads=2))
        e, px = replace(e, base_vae=vae), max(64, px // SMALLER)
    steps = s.steps or e.sample.num_inference_steps
    scale = s.guidance or e.sample.guidance_scale
    return replace(
        e,
        data=replace(e.data, resolution_px=px),
        sample=replace(e.sample, num_inference_steps=steps, guidance_scale=scale),
    )


def architecture_of(e: Experiment, s: Scenario) -> Architecture:
    """The transformer that the scenario runs; the stand-in of a pipeline's has no closed form."""
    full = architecture(e)
    if not s.small or family_of(e).conditions == "classes":
        return full
    builds = {"sd3": small_sd3, "flux": small_flux}

    def inputs(batch: int, channels: int, side: int) -> dict[str, torch.Tensor]:
        given = full.inputs(batch, channels, side)
        given["encoder_hidden_states"] = given["encoder_hidden_states"][..., :SMALL_TEXT]
        return given

    return replace(
        full,
        build=builds[family_of(e).name],
        inputs=inputs,
        closed_form=lambda tokens, features: 0,
        text_encoders=lambda: [clip_text(64, 1, True)],
    )


def small_sd3() -> nn.Module:
    """A transformer of SD3's class, for tests."""
    return SD3Transformer2DModel(
        sample_size=32, patch_size=2, in_channels=16, out_channels=16, num_layers=2,
        attention_head_dim=16, num_attention_heads=2, joint_attention_dim=SMALL_TEXT,
        caption_projection_dim=32, pooled_projection_dim=2048, pos_embed_max_size=32,
        dual_attention_layers=(0,), qk_norm="rms_norm",
    )  # fmt: skip


def small_flux() -> nn.Module:
    """A transformer of FLUX's class, for tests."""
    return FluxTransformer2DModel(
        num_layers=1, num_single_layers=1, attention_head_dim=32, num_attention_heads=2,
        joint_attention_dim=SMALL_TEXT, pooled_projection_dim=768, axes_dims_rope=(8, 12, 12),
        guidance_embeds=True,
    )  # fmt: skip


def weights_dtype(s: Scenario) -> torch.dtype:
    """Of weights and inputs: the scenario's for a pretrained pipeline's networks; float32 for
    those that are trained here, whose products alone are cast (torch.autocast)."""
    trained_here = s.model in MODELS and family_of(MODELS[s.model]).conditions == "classes"
    return torch.float32 if trained_here else DTYPES[s.dtype]


def materialised(build: Callable[[], nn.Module], device: str, dtype: torch.dtype) -> Any:
    """The network that `build` describes, on the device, every weight drawn from N(0, SPREAD^2).

    Made on `meta`, for initialising billions of weights takes minutes. Integer buffers are the
    positions of a text encoder; others, which that would lose, are an error."""
    with torch.device("meta"):
        network = build()
    network = network.to(dtype)
    if device == "meta":
        return network.eval()
    network = network.to_empty(device=device)
    if isinstance(network, PreTrainedModel):
        network.tie_weights()
    generator = torch.Generator(device).manual_seed(0)
    with torch.no_grad():
        for name, tensor in (*network.named_parameters(), *network.named_buffers()):
            if tensor.is_floating_point():
                tensor.normal_(0.0, SPREAD, generator=generator)
                continue
            assert name.endswith("position_ids"), f"{name} holds integers"
            tensor.copy_(torch.arange(tensor.numel(), device=device).reshape(tensor.shape))
    return network.eval()


def normal(shape: tuple[int, ...], device: str, dtype: torch.dtype, seed: int = 1) -> torch.Tensor:
    """Numbers of N(0, 1)."""
    if device == "meta":
        return torch.empty(shape, device=device, dtype=dtype)
    generator = torch.Generator(device).manual_seed(seed)
    return torch.randn(shape, generator=generator, device=device, dtype=dtype)


def random_like(
    tensors: dict[str, torch.Tensor], device: str, dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """Numbers in the place of a forward's arguments on `meta`: floats of N(0, 1), integers 0."""
    return {
        name: normal(tuple(t.shape), device, dtype)
        if t.is_floating_point()
        else torch.zeros(t.shape, device=device, dtype=t.dtype)
        for name, t in tensors.items()
    }


def grid(e: Experiment, s: Scenario) -> tuple[int, int]:
    """(channels, side) of the latent that the scenario's transformer sees."""
    config = davae_config(e)
    if s.form == "native":
        return config.base_channels, e.latent_size * e.data.scale
    return config.latent_channels, e.latent_size


def transformer(e: Experiment, s: Scenario, device: str) -> Any:
    """The scenario's transformer: the preset's at the full resolution, or widened."""
    _, side = grid(e, s)

    def build() -> nn.Module:
        network: Any = architecture_of(e, s).build()
        if s.form == "widened":
            adapt(network, e.davae.detail_channels)
        elif isinstance(network, DiT):
            network = native_dit(network, side)
        return network

    network = materialised(build, device, weights_dtype(s))
    return fuse(network) if s.fused else network


def autoencoder(e: Experiment | None, s: Scenario, device: str) -> Any:
    """The base VAE, the DA-VAE, or the peer, as they are initialised; channels last.

    The base VAE has the leaner blocks of the DA-VAE, so that one is not faster by them alone."""
    torch.manual_seed(0)
    if e is None:
        network: Any = dcae(s.small)
    elif s.form == "native":
        network = streamline(base_vae(e))
    else:
        network = DAVAE(**asdict(davae_config(e)))
    return network.to(device, weights_dtype(s)).to(memory_format=torch.channels_last).eval()


def dcae(small: bool) -> AutoencoderDC:
    """DC-AE of f32c32 (Chen et al. 2024) in SANA's shape: linear attention on the three smallest
    grids."""
    blocks = ("ResBlock",) * 3 + ("EfficientViTBlock",) * 3
    sizes: dict[str, Any] = {}
    if small:
        layers, widths = (1,) * 6, (32,) * 6
        sizes = {
            f"{end}_{name}": value
            for end in ("encoder", "decoder")
            for name, value in (("layers_per_block", layers), ("block_out_channels", widths))
        }
    return AutoencoderDC(encoder_block_types=blocks, decoder_block_types=blocks, **sizes)


def side_px(s: Scenario) -> int:
    """The images' side of a scenario that names one."""
    return max(64, s.resolution_px // SMALLER) if s.small else s.resolution_px


def parameters(*networks: nn.Module) -> int:
    """The number of their parameters."""
    return sum(p.numel() for network in networks for p in network.parameters())
