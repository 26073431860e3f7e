"""The full-size networks of the paper-scale presets: how to build them, call them, and count them in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from diffusers import AutoencoderKL
from torch import nn

from davae.config import Experiment
from davae.data.photos import PHOTOS
from davae.data.scenes import SHAPES
from davae.measure.flops import dit_forward_flops
from davae.models.davae import DAVAEConfig
from davae.models.dit import DiT, DiTConfig

CLASSES = {"photos": len(PHOTOS), "scenes": len(SHAPES), "folder": 1_000}
"""Classes by data set; a folder is taken for ImageNet."""


@dataclass(frozen=True)
class Architecture:
    """One transformer, built on whatever torch device is current, without its weights."""

    build: Callable[[], nn.Module]
    """The pretrained transformer, not widened."""
    inputs: Callable[[int, int, int], dict[str, torch.Tensor]]
    """(batch, latent channels, latent side) -> arguments of a forward, on `meta`."""
    closed_form: Callable[[int, int], int]
    """(image tokens, features a token) -> FLOPs of one forward of one sample."""
    width: int
    depth: int
    """Number of blocks."""
    forwards_a_step: int
    """2 where guidance takes a forward without the prompt as well."""
    text_tokens: int = 0
    text_encoders: Callable[[], list[nn.Module]] = list


def architecture(e: Experiment) -> Architecture:
    """The transformer that the experiment widens."""
    if e.base_dit.family == "sd3":
        return Architecture(sd3_medium, sd3_inputs, sd3_flops, 1536, 24, 2, 333, sd3_text_encoders)
    if e.base_dit.family == "flux":
        return Architecture(flux_dev, flux_inputs, flux_flops, 3072, 57, 1, 512, flux_text_encoders)
    b = e.base_dit
    config = DiTConfig(
        in_channels=e.base_vae.latent_channels, input_size=e.latent_size, patch_size=b.patch_size,
        hidden_size=b.hidden_size, depth=b.depth, num_heads=b.num_heads, qk_norm=b.qk_norm,
        num_classes=CLASSES[e.data.name], class_dropout=b.class_dropout,
    )  # fmt: skip

    def flops(tokens: int, features: int) -> int:
        return lightning_flops(tokens, features, b.hidden_size, b.depth)

    guided = 1 if e.sample.guidance_scale == 1.0 else 2
    return Architecture(lambda: DiT(**asdict(config)), lightning_inputs, flops, b.hidden_size, b.depth, guided)


def base_vae(e: Experiment) -> AutoencoderKL:
    """The base VAE's network, without its weights."""
    vae, config = e.base_vae, davae_config(e)
    levels = len(vae.block_out_channels)
    last = "Attn" if config.level_attention else ""
    return AutoencoderKL(
        down_block_types=(*["DownEncoderBlock2D"] * (levels - 1), f"{last}DownEncoderBlock2D"),
        up_block_types=(f"{last}UpDecoderBlock2D", *["UpDecoderBlock2D"] * (levels - 1)),
        block_out_channels=vae.block_out_channels, layers_per_block=vae.layers_per_block,
        latent_channels=vae.latent_channels, norm_num_groups=vae.norm_num_groups,
        mid_block_add_attention=vae.mid_attention, use_quant_conv=config.use_quant_conv,
        use_post_quant_conv=config.use_quant_conv,
    )  # fmt: skip


def davae_config(e: Experiment) -> DAVAEConfig:
    """The DA-VAE of the experiment: over SD3's or FLUX's VAE, over VA-VAE, or over the small one trained here."""
    vae, log_scale = e.base_vae, e.data.scale.bit_length() - 1
    known: dict[str, bool | float] = {}
    if e.base_dit.family == "sd3":
        known = {"use_quant_conv": False, "scaling_factor": 1.5305, "shift_factor": 0.0609}
    elif e.base_dit.family == "flux":
        known = {"use_quant_conv": False, "scaling_factor": 0.3611, "shift_factor": 0.1159}
    elif vae.pretrained:
        known = {"level_attention": True}
    return DAVAEConfig(
        latent_channels=vae.latent_channels + e.davae.detail_channels, detail_channels=e.davae.detail_channels,
        block_out_channels=vae.block_out_channels + vae.block_out_channels[-1:] * log_scale,
        layers_per_block=vae.layers_per_block, norm_num_groups=vae.norm_num_groups, scale=e.data.scale,
        mid_attention=vae.mid_attention, antialias=e.data.antialias, clamp_base=e.davae.clamp_base,
        detail_dropout=e.davae.detail_dropout, **known,  # type: ignore[arg-type]
    )  # fmt: skip


def sd3_medium() -> nn.Module:
    """SD3.5-Medium's transformer, 2.24 B parameters."""
    from diffusers import SD3Transformer2DModel

    return SD3Transformer2DModel(
        sample_size=128, patch_size=2, in_channels=16, out_channels=16, num_layers=24, attention_head_dim=64,
        num_attention_heads=24, joint_attention_dim=4096, caption_projection_dim=1536, pooled_projection_dim=2048,
        pos_embed_max_size=384, dual_attention_layers=tuple(range(13)), qk_norm="rms_norm",
    )  # fmt: skip


def sd3_inputs(batch: int, channels: int, side: int) -> dict[str, torch.Tensor]:
    """A forward's arguments; 333 text tokens: 77 of CLIP and 256 of T5."""
    return {
        "hidden_states": torch.empty(batch, channels, side, side, device="meta"),
        "encoder_hidden_states": torch.empty(batch, 333, 4096, device="meta"),
        "pooled_projections": torch.empty(batch, 2048, device="meta"),
        "timestep": torch.empty(batch, device="meta"),
    }


def flux_dev() -> nn.Module:
    """FLUX.1-dev's transformer, 11.9 B parameters."""
    from diffusers import FluxTransformer2DModel

    return FluxTransformer2DModel(guidance_embeds=True)


def flux_inputs(batch: int, channels: int, side: int) -> dict[str, torch.Tensor]:
    """A forward's arguments: packed 2x2 patches of the latent, 512 text tokens."""
    tokens = (side // 2) ** 2
    return {
        "hidden_states": torch.empty(batch, tokens, 4 * channels, device="meta"),
        "encoder_hidden_states": torch.empty(batch, 512, 4096, device="meta"),
        "pooled_projections": torch.empty(batch, 768, device="meta"),
        "timestep": torch.empty(batch, device="meta"),
        "guidance": torch.empty(batch, device="meta"),
        "img_ids": torch.empty(tokens, 3, device="meta"),
        "txt_ids": torch.empty(512, 3, device="meta"),
    }


def lightning_inputs(batch: int, channels: int, side: int) -> dict[str, torch.Tensor]:
    """A forward's arguments."""
    t, y = torch.empty(batch, device="meta"), torch.empty(batch, dtype=torch.long, device="meta")
    return {"x": torch.empty(batch, channels, side, side, device="meta"), "t": t, "y": y}


def lightning_flops(tokens: int, features: int, width: int, depth: int) -> int:
    """Closed form: blocks (24 T d^2 + 4 T^2 d, and 12 d^2 of adaLN), the embedding of time, the two ends."""
    blocks = dit_forward_flops(tokens, width, depth) + depth * 12 * width**2
    return blocks + 2 * (256 * width + width**2) + 4 * width**2 + 4 * tokens * features * width


def sd3_flops(tokens: int, features: int, text: int = 333, width: int = 1536, depth: int = 24, dual: int = 13) -> int:
    """Closed form: both streams' 24 T d^2, joint attention, the image's second attention in the first `dual` blocks,
    adaLN of 6, 9 (dual) and 6 rows a stream; the last block gives no text: keys, values and queries alone."""
    image = depth * 24 * tokens * width**2 + dual * (8 * tokens * width**2 + 4 * tokens**2 * width)
    words = (depth - 1) * 24 * text * width**2 + 6 * text * width**2
    joint = depth * 4 * (tokens + text) ** 2 * width
    modulation = 2 * width**2 * (6 * depth + 3 * dual + 6 * (depth - 1) + 2)
    condition = 2 * (256 * width + width**2) + 2 * (2048 * width + width**2) + 4 * width**2
    return image + words + joint + modulation + condition + 2 * text * 4096 * width + 4 * tokens * features * width


def flux_flops(tokens: int, features: int, text: int = 512, width: int = 3072) -> int:
    """Closed form: 19 double blocks (24 T d^2 a stream, 12 d^2 of adaLN each), 38 single ones (24 T d^2, 6 d^2)."""
    whole = tokens + text
    blocks = 57 * (24 * whole * width**2 + 4 * whole**2 * width) + 19 * 24 * width**2 + 38 * 6 * width**2
    condition = 2 * 2 * (256 * width + width**2) + 2 * (768 * width + width**2) + 4 * width**2
    return blocks + condition + 2 * text * 4096 * width + 4 * tokens * features * width


def t5_xxl() -> nn.Module:
    """The encoder of T5 v1.1 XXL."""
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(
            vocab_size=32128, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64,
            feed_forward_proj="gated-gelu",
        )
    )  # fmt: skip


def clip_text(width: int, layers: int, projected: bool) -> nn.Module:
    """CLIP's text tower: ViT-L/14's (768, 12) or ViT-bigG/14's (1280, 32)."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=width // 64,
        projection_dim=width,
    )  # fmt: skip
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config)


def sd3_text_encoders() -> list[nn.Module]:
    """Both CLIP towers and T5."""
    return [clip_text(768, 12, True), clip_text(1280, 32, True), t5_xxl()]


def flux_text_encoders() -> list[nn.Module]:
    """One CLIP tower and T5."""
    return [clip_text(768, 12, False), t5_xxl()]
