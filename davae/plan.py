"""`davae plan`: what a paper-scale setting would compute and cost, from networks on the `meta` device.

Counts of parameters, tokens and FLOPs are exact for the networks as built. Memory, days and img/s are predictions,
each with its assumption beside it; none is a measurement.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from davae.measure.flops import count_flops, dit_forward_flops
from davae.models.adapt import LORA_TARGETS, adapt
from davae.models.davae import DAVAE, DAVAEConfig
from davae.models.dit import DiT, DiTConfig, widen_dit

PEAK_TFLOPS = {"A100": 312.0, "H100": 989.0, "H200": 989.0}
"""Dense bfloat16 tensor-core peaks of the SXM boards, TFLOP/s, from the vendor's data sheets."""
SAMPLING_MFU = 0.45
"""Assumed share of the peak in sampling; the paper's 1.03 img/s on an A100 is 0.48 of it by our count."""
TRAINING_MFU = 0.35
"""Assumed share of the peak in training."""
DAY = 86_400.0


@dataclass(frozen=True)
class Plan:
    """One paper-scale setting."""

    name: str
    about: str
    resolution_px: int
    transformer: Callable[[], nn.Module]
    """The pretrained transformer, not widened; built on `meta`."""
    inputs: Callable[[int, int, int], dict[str, torch.Tensor]]
    """(batch, latent channels, latent side) -> arguments of a forward, on `meta`."""
    closed_form: Callable[[int, int], int]
    """(image tokens, features a token) -> FLOPs of one forward."""
    davae: DAVAEConfig
    patch_size: int
    num_inference_steps: int
    guidance: bool
    """Whether a step takes two forwards."""
    train_steps: int
    train_batch: int
    lora_rank: int = 0
    """0: the whole transformer is trained."""
    published: str = ""

    @property
    def latent_side(self) -> int:
        """h = w of the latent."""
        return self.resolution_px // 2 ** (len(self.davae.block_out_channels) - 1)

    @property
    def tokens(self) -> int:
        """Image tokens a forward."""
        return (self.latent_side // self.patch_size) ** 2


def sd3_medium() -> nn.Module:
    """SD3.5-Medium's transformer."""
    from diffusers import SD3Transformer2DModel

    return SD3Transformer2DModel(
        sample_size=128, patch_size=2, in_channels=16, out_channels=16, num_layers=24, attention_head_dim=64,
        num_attention_heads=24, joint_attention_dim=4096, caption_projection_dim=1536, pooled_projection_dim=2048,
        pos_embed_max_size=384, dual_attention_layers=tuple(range(13)), qk_norm="rms_norm",
    )  # fmt: skip


def sd3_inputs(batch: int, channels: int, side: int, text: int = 333) -> dict[str, torch.Tensor]:
    """A forward's arguments; 333 text tokens: 77 of CLIP and 256 of T5."""
    return {
        "hidden_states": torch.empty(batch, channels, side, side, device="meta"),
        "encoder_hidden_states": torch.empty(batch, text, 4096, device="meta"),
        "pooled_projections": torch.empty(batch, 2048, device="meta"),
        "timestep": torch.empty(batch, device="meta"),
    }


def flux_dev() -> nn.Module:
    """FLUX.1-dev's transformer."""
    from diffusers import FluxTransformer2DModel

    return FluxTransformer2DModel(guidance_embeds=True)


def flux_inputs(batch: int, channels: int, side: int, text: int = 512) -> dict[str, torch.Tensor]:
    """A forward's arguments: packed 2x2 patches of the latent, 512 text tokens."""
    tokens = (side // 2) ** 2
    return {
        "hidden_states": torch.empty(batch, tokens, 4 * channels, device="meta"),
        "encoder_hidden_states": torch.empty(batch, text, 4096, device="meta"),
        "pooled_projections": torch.empty(batch, 768, device="meta"),
        "timestep": torch.empty(batch, device="meta"),
        "guidance": torch.empty(batch, device="meta"),
        "img_ids": torch.empty(tokens, 3, device="meta"),
        "txt_ids": torch.empty(text, 3, device="meta"),
    }


def lightning_xl() -> nn.Module:
    """LightningDiT-XL/1 over VA-VAE, with qk-norm."""
    config = DiTConfig(in_channels=32, input_size=16, hidden_size=1152, depth=28, num_heads=16, num_classes=1000)
    return DiT(**asdict(config))


def lightning_inputs(batch: int, channels: int, side: int) -> dict[str, torch.Tensor]:
    """A forward's arguments."""
    t, y = torch.empty(batch, device="meta"), torch.empty(batch, dtype=torch.long, device="meta")
    return {"x": torch.empty(batch, channels, side, side, device="meta"), "t": t, "y": y}


def lightning_flops(tokens: int, features: int, width: int = 1152, depth: int = 28) -> int:
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


SD_VAE = DAVAEConfig(
    latent_channels=32, detail_channels=16, block_out_channels=(128, 256, 512, 512, 512), layers_per_block=2,
    mid_attention=True, use_quant_conv=False, clamp_base=True, scaling_factor=1.5305, shift_factor=0.0609,
)  # fmt: skip
"""f16c32 over SD3's VAE; FLUX's has the same network and other factors."""
VA_VAE = DAVAEConfig(
    latent_channels=128, detail_channels=96, block_out_channels=(128, 128, 256, 256, 512, 512), layers_per_block=2,
    level_attention=True, mid_attention=True,
)  # fmt: skip
"""f32c128 over VA-VAE."""

SD35: dict[str, Any] = {
    "transformer": sd3_medium, "inputs": sd3_inputs, "closed_form": sd3_flops, "davae": SD_VAE, "patch_size": 2,
    "num_inference_steps": 28, "guidance": True, "train_steps": 20_000, "lora_rank": 256,
}  # fmt: skip
PLANS: dict[str, Plan] = {
    plan.name: plan
    for plan in (
        Plan(
            "imagenet512", "ImageNet 512 px: LightningDiT-XL/1, VA-VAE f16c32 -> DA-VAE f32c128p1, all trained", 512,
            lightning_xl, lightning_inputs, lightning_flops, VA_VAE, 1, 249, True, 140_000, 640,
            published="FID-50k 4.84, with guidance 1.68, at 80 epochs",
        ),
        Plan(
            "sd35m_1k", "SD3.5-Medium at 1024 px: f8c16p2 -> f16c32p2, LoRA", 1024,
            train_batch=128, **SD35,
            published="1.03 img/s on one A100 (native 0.25), 5 H100-days, 20k steps",
        ),
        Plan(
            "sd35m_2k", "SD3.5-Medium at 2048 px: f8c16p2 -> f16c32p2, LoRA", 2048,
            train_batch=32, **SD35,
            published="6.04 times the native model's img/s",
        ),
        Plan(
            "flux_1k", "FLUX.1-dev at 1024 px: f8c16p2 -> f16c32p2, LoRA (beyond the paper)", 1024,
            flux_dev, flux_inputs, flux_flops, SD_VAE, 2, 28, False, 20_000, 64, lora_rank=256,
            published="native FLUX-dev: 0.04 img/s on one A100",
        ),
    )
}  # fmt: skip
"""Training batches of the SD3.5 and FLUX settings are ours: the paper gives steps, not batches."""


@dataclass(frozen=True)
class Count:
    """Exact counts of a plan's networks."""

    transformer: int
    widened: int
    """Parameters of the new layers."""
    lora: int
    davae_frozen: int
    davae_trained: int
    forward: int
    """FLOPs of one forward of the widened transformer, one sample."""
    native_forward: int
    """Of the pretrained one at the same resolution, s^2 times the tokens."""
    decode: int


def parameters(module: nn.Module) -> int:
    """The number of a module's parameters."""
    return sum(p.numel() for p in module.parameters())


def lora_parameters(transformer: nn.Module, rank: int) -> int:
    """rank (inputs + outputs) of every linear layer that the recipe's targets name."""
    ends = tuple(f".{target}" for target in LORA_TARGETS)
    layers = [m for n, m in transformer.named_modules() if isinstance(m, nn.Linear) and f".{n}".endswith(ends)]
    return sum(rank * (layer.in_features + layer.out_features) for layer in layers)


@torch.no_grad()
def count(plan: Plan) -> Count:
    """Build the plan's networks on `meta` and count; a second or two and no memory to speak of."""
    with torch.device("meta"):
        transformer, davae = plan.transformer(), DAVAE(**asdict(plan.davae))
        before, base = parameters(transformer), plan.davae.base_channels
        native_side = plan.latent_side * plan.davae.scale
        native: Any = transformer
        if isinstance(transformer, DiT):  # its positions are made for one grid
            native = DiT(**{**dict(transformer.config), "input_size": native_side})
        native_flops, _ = count_flops(lambda: native(**plan.inputs(1, base, native_side)))
        if isinstance(transformer, DiT):
            transformer, _ = widen_dit(transformer, plan.davae.detail_channels)
        else:
            adapt(transformer, plan.davae.detail_channels)
        wide: Any = transformer
        flops, _ = count_flops(lambda: wide(**plan.inputs(1, plan.davae.latent_channels, plan.latent_side)))
        latent = torch.empty(1, plan.davae.latent_channels, plan.latent_side, plan.latent_side)
        decode, _ = count_flops(lambda: davae.decode(latent).sample)
    frozen = [*davae.base_encoder.parameters(), *davae.base_quant_conv.parameters()]
    still = sum(p.numel() for p in frozen)
    return Count(
        before, parameters(transformer) - before, lora_parameters(transformer, plan.lora_rank), still,
        parameters(davae) - still, flops, native_flops, decode,
    )  # fmt: skip


def forwards(plan: Plan) -> int:
    """Forwards an image."""
    return plan.num_inference_steps * (1 + plan.guidance)


def training_flops(plan: Plan, found: Count) -> int:
    """FLOPs of the adaptation: 3 forwards a sample; with LoRA 2 (no gradient of frozen weights) and the adapters' 3."""
    adapters = 2 * plan.tokens * found.lora
    sample = 2 * found.forward + 3 * adapters if plan.lora_rank else 3 * found.forward
    return sample * plan.train_batch * plan.train_steps


WIDTHS = {sd3_medium: (1536, 24), flux_dev: (3072, 57), lightning_xl: (1152, 28)}
"""Width and number of blocks."""


def memory(plan: Plan, found: Count) -> dict[str, float]:
    """Bytes by part: a prediction."""
    whole = found.transformer + found.widened
    trained = found.widened + found.lora if plan.lora_rank else whole
    width, depth = WIDTHS[plan.transformer]
    activations = 34 * plan.tokens * width * depth
    pixels = plan.resolution_px**2 * plan.davae.block_out_channels[0]
    autoencoder = found.davae_frozen + found.davae_trained
    return {
        "training, frozen weights (2 B each)": 2.0 * (whole + found.lora * bool(plan.lora_rank) - trained),
        "training, trained weights (4 B; gradient 4, Adam 8, EMA 4)": 20.0 * trained,
        "training, activations a sample (34 T d a block)": float(activations),
        "training, activations a sample, blocks recomputed (2 T d a block)": 2.0 * plan.tokens * width * (depth + 17),
        "inference, transformer and DA-VAE (2 B each)": 2.0 * (whole + autoencoder),
        "inference, decoding an image (3 of the widest maps, 2 B)": 6.0 * pixels,
    }


def describe(name: str) -> str:
    """The text of `davae plan NAME`; raises ValueError for a name that is no plan."""
    if name not in PLANS:
        raise ValueError(f"there is no plan {name!r}; plans: {', '.join(PLANS)}")
    plan = PLANS[name]
    found = count(plan)
    factor = 2 ** (len(plan.davae.block_out_channels) - 1)
    features = plan.davae.latent_channels * plan.patch_size**2
    closed = plan.closed_form(plan.tokens, features)
    image = forwards(plan) * found.forward + found.decode
    native = forwards(plan) * found.native_forward + found.decode
    training = training_flops(plan, found)
    side = plan.latent_side // plan.patch_size
    lines = [
        f"{plan.name}: {plan.about}",
        "",
        "Counted on the networks as built (meta device)",
        f"  autoencoder             f{factor}c{plan.davae.latent_channels}p{plan.patch_size}",
        f"  image tokens            {plan.tokens:,} ({side} x {side}); native {4 * plan.tokens:,}",
        f"  transformer             {found.transformer:,} parameters, {found.widened:,} more by widening",
    ]
    if plan.lora_rank:
        lines.append(f"  LoRA, rank {plan.lora_rank}          {found.lora:,}")
    lines += [
        f"  DA-VAE                  {found.davae_trained:,} trained, {found.davae_frozen:,} frozen",
        f"  forward                 {found.forward / 1e12:.3f} TFLOP; closed form {closed / 1e12:.3f}",
        f"  native forward          {found.native_forward / 1e12:.3f} TFLOP at the same resolution",
        f"  decode                  {found.decode / 1e12:.3f} TFLOP",
        f"  an image                {image / 1e12:.0f} TFLOP: {forwards(plan)} forwards and a decode;"
        f" native, with the same decode, {native / 1e12:.0f}: {native / image:.1f} times",
        f"  the adaptation          {training / 1e18:.2f} EFLOP: {plan.train_steps:,} steps of {plan.train_batch}",
        "",
        "Predicted, not measured",
    ]
    lines += [f"  {part:<70} {size / 2**30:8.2f} GiB" for part, size in memory(plan, found).items()]
    for gpu, peak in PEAK_TFLOPS.items():
        rate = peak * 1e12 * SAMPLING_MFU / image
        days = training / (peak * 1e12 * TRAINING_MFU * DAY)
        text = f"{rate:6.2f} img/s at {SAMPLING_MFU:.0%} of {peak:.0f} TFLOP/s; adaptation {days:6.2f} GPU-days"
        lines.append(f"  {gpu:<6} {text} at {TRAINING_MFU:.0%}")
    return "\n".join([*lines, "", f"Published: {plan.published}"])
