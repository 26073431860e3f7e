"""`davae plan`: what a preset would compute and cost, from its networks on the `meta` device.

Counts of parameters, tokens and FLOPs are exact for the networks as built. Memory, days and img/s are predictions,
each with its assumption beside it; none is a measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from davae.architectures import Architecture, architecture, base_vae, davae_config
from davae.config import Experiment
from davae.measure.flops import count_flops
from davae.models.adapt import Lora, adapt, add_lora, freeze_pretrained
from davae.models.davae import DAVAE
from davae.models.dit import DiT, widen_dit

PEAK_TFLOPS = {"A100": 312.0, "H100": 989.0, "H200": 989.0}
"""Dense bfloat16 tensor-core peaks of the SXM boards, TFLOP/s, from the vendor's data sheets."""
DAY = 86_400.0
PUBLISHED = {
    "imagenet512": "FID-50k 4.84, with guidance 1.68, at 80 epochs",
    "sd35m_1k": "1.03 img/s on one A100 (native 0.25), 5 H100-days, 20k steps",
    "sd35m_2k": "6.04 times the native model's img/s",
    "flux_1k": "native FLUX-dev: 0.04 img/s on one A100 (the adapted one is beyond the paper)",
}
"""The paper's figures, by preset."""


@dataclass(frozen=True)
class Assumptions:
    """What the predictions assume."""

    sampling_mfu: float = 0.45
    """Share of the GPU's dense bfloat16 peak in sampling; the paper's 1.03 img/s on an A100 is 0.48 by our count."""
    training_mfu: float = 0.35
    """Share of the peak in training, recomputed activations not counted as work."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value <= 1:
                raise ValueError(f"{name} is {value}; a share of the peak lies in (0, 1]")


@dataclass(frozen=True)
class Count:
    """Exact counts of a preset's networks; FLOPs are of one sample."""

    transformer: int
    """Parameters of the pretrained transformer."""
    positions: int
    """Numbers of a fixed position table, which are not trained and not among the parameters."""
    widened: int
    """Parameters that widening adds."""
    trained: int
    """Parameters of the widened transformer that the adaptation trains, adapters included."""
    lora: int
    text: int
    """Parameters of the text encoders."""
    davae_frozen: int
    davae_trained: int
    forward: int
    """One forward of the widened transformer."""
    native_forward: int
    """Of the pretrained one at the same resolution, s^2 times the tokens."""
    training_step: int
    """Forward and backward of the widened transformer with what the adaptation trains."""
    decode: int
    native_decode: int
    """The base VAE's, to an image of the same size."""
    encode: int
    """The base and the detail latent of an image."""
    davae_step: int
    """Forward and backward of the detail encoder and the decoder, losses not counted."""


def parameters(*modules: nn.Module) -> int:
    """The number of the modules' parameters."""
    return sum(p.numel() for module in modules for p in module.parameters())


def tokens(e: Experiment) -> int:
    """Image tokens a forward."""
    return (e.latent_size // e.base_dit.patch_size) ** 2


def native_dit(transformer: DiT, side: int) -> DiT:
    """The same DiT for another grid: its positions are made for one."""
    return DiT(**{**dict(transformer.config), "input_size": side})


def count(e: Experiment) -> Count:
    """Build the experiment's networks on `meta` and count: seconds, and no memory to speak of."""
    with torch.device("meta"), torch.enable_grad():
        return _count(e)


def _count(e: Experiment) -> Count:
    arch, config = architecture(e), davae_config(e)
    transformer, davae = arch.build(), DAVAE(**vars(config))
    before = parameters(transformer)
    native_side = e.latent_size * e.data.scale
    native: Any = native_dit(transformer, native_side) if isinstance(transformer, DiT) else transformer
    with torch.no_grad():
        native_forward, _ = count_flops(lambda: native(**arch.inputs(1, config.base_channels, native_side)))
    positions = transformer.pos_embed.numel() if isinstance(transformer, DiT) else 0
    wide = widened(transformer, e)
    widened_by = parameters(wide) - before
    inputs = arch.inputs(1, config.latent_channels, e.latent_size)
    with torch.no_grad():
        forward, _ = count_flops(lambda: wide(**inputs))
    lora = 0
    if e.base_dit.family != "lightning" and not e.adapt.lora_rank:
        freeze_pretrained(wide)
    if e.adapt.lora_rank:
        add_lora(wide, Lora(e.adapt.lora_rank, e.adapt.lora_rank))
        lora = parameters(wide) - before - widened_by
    step, _ = count_flops(lambda: first(wide(**inputs)).sum().backward())
    trained = sum(p.numel() for p in wide.parameters() if p.requires_grad)
    frozen = parameters(davae.base_encoder, davae.base_quant_conv)
    image = torch.empty(1, 3, e.data.resolution_px, e.data.resolution_px)
    latent = torch.empty(1, config.latent_channels, e.latent_size, e.latent_size)
    with torch.no_grad():
        decode, _ = count_flops(lambda: davae.decode(latent))
        encode, _ = count_flops(lambda: davae.encode(image))
        grid = torch.empty(1, config.base_channels, native_side, native_side)
        native_decode, _ = count_flops(lambda: base_vae(e).decode(grid))

    def davae_step() -> None:
        mean, _ = davae.detail_moments(image)
        base = latent[:, : config.base_channels]
        davae.decode_raw(torch.cat([base, mean], 1)).sum().backward()

    if e.davae.freeze_encoder:
        davae.detail_encoder.requires_grad_(False)
    davae_flops, _ = count_flops(davae_step)
    return Count(
        before, positions, widened_by, trained, lora, parameters(*arch.text_encoders()), frozen,
        parameters(davae) - frozen, forward, native_forward, step, decode, native_decode,
        encode, davae_flops,
    )  # fmt: skip


def widened(transformer: nn.Module, e: Experiment) -> Any:
    """The transformer with the experiment's detail channels."""
    if isinstance(transformer, DiT):
        return widen_dit(transformer, e.davae.detail_channels)[0]
    adapt(transformer, e.davae.detail_channels)
    return transformer


def first(output: Any) -> torch.Tensor:
    """The tensor of a transformer's output."""
    return output if isinstance(output, torch.Tensor) else output[0]


def forwards(e: Experiment) -> int:
    """Forwards an image, guidance outside its interval included."""
    return e.sample.num_inference_steps * architecture(e).forwards_a_step * (1 + (e.sample.solver == "heun"))


def stage_flops(e: Experiment, found: Count) -> dict[str, float]:
    """FLOPs of the stages that train and encode."""
    images = (e.adapt.train_crops or e.data.train_crops) + 2 * e.data.eval_crops
    davae, adaptation = e.davae.train, e.adapt.train
    return {
        "DA-VAE": float(found.davae_step * davae.batch_size * davae.steps),
        "latents": float(found.encode * images),
        "adaptation": float(found.training_step * adaptation.batch_size * adaptation.steps),
    }


def memory(e: Experiment, found: Count, arch: Architecture) -> dict[str, float]:
    """Bytes of GPU memory by part: a prediction."""
    still = found.transformer + found.widened + found.lora - found.trained
    grid = tokens(e) + arch.text_tokens
    autoencoder = found.davae_frozen + found.davae_trained
    pixels = e.data.resolution_px**2 * e.base_vae.block_out_channels[0]
    parts = {
        "training: trained weights (4 B; gradient 4, Adam 8, EMA 4)": 20.0 * found.trained,
        "training: frozen weights (2 B)": 2.0 * still,
        "training: activations a sample (34 T d a block, 2 B included)": 34.0 * grid * arch.width * arch.depth,
        "training: the same, blocks recomputed (2 T d a block, one block)": (2.0 * arch.depth + 34) * grid * arch.width,
        "inference: transformer (2 B)": 2.0 * (found.transformer + found.widened + found.lora),
        "inference: DA-VAE (2 B)": 2.0 * autoencoder,
        "inference: decoding an image (3 of the widest maps, 2 B)": 6.0 * pixels,
    }  # fmt: skip
    if found.text:
        parts["both: text encoders (2 B)"] = 2.0 * found.text
    return parts


def disk(e: Experiment) -> dict[str, float]:
    """Bytes that the store keeps: uint8 crops and float32 latents."""
    images = e.data.train_crops + 2 * e.data.eval_crops
    area = e.latent_size**2
    return {
        "crops": 3.0 * e.data.resolution_px**2 * images,
        "base latents": 4.0 * e.base_vae.latent_channels * area * images,
        "detail latents": 4.0 * e.davae.detail_channels * area * images,
    }


def size_text(size: float) -> str:
    """Bytes in GiB, or in MiB below one."""
    return f"{size / 2**30:10.2f} GiB" if size >= 2**30 else f"{size / 2**20:10.2f} MiB"


def human(count: float) -> str:
    """A number of FLOPs with its prefix."""
    for power, prefix in ((18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M")):
        if count >= 10**power:
            return f"{count / 10**power:,.3f} {prefix}FLOP"
    return f"{count:,.0f} FLOP"


def counted_lines(e: Experiment, found: Count, arch: Architecture) -> list[str]:
    """What is exact."""
    side, features = e.latent_size // e.base_dit.patch_size, davae_config(e).latent_channels * e.base_dit.patch_size**2
    closed = arch.closed_form(tokens(e), features)
    n = forwards(e)
    image, native = n * found.forward + found.decode, n * found.native_forward + found.native_decode
    table = f", {found.positions:,} fixed positions" if found.positions else ""
    lines = {
        "autoencoder": f"{e.names()['davae']} over {e.names()['base']}",
        "image tokens": f"{tokens(e):,} ({side} x {side}); native {e.data.scale**2 * tokens(e):,}",
        "transformer": f"{found.transformer:,} parameters, {found.widened:,} more by widening{table}",
        "  together": f"{found.transformer + found.widened + found.positions:,}",
        "  trained": f"{found.trained:,}, frozen {found.transformer + found.widened + found.lora - found.trained:,}",
        "  LoRA": f"{found.lora:,} of rank {e.adapt.lora_rank}" if found.lora else "none",
        "text encoders": f"{found.text:,} parameters, frozen" if found.text else "none",
        "DA-VAE": f"{found.davae_trained:,} trained, {found.davae_frozen:,} frozen",
        "forward": f"{human(found.forward)}; closed form {human(closed)} ({closed / found.forward - 1:+.2%})",
        "native forward": f"{human(found.native_forward)} at the same resolution",
        "decode": f"{human(found.decode)}; the base VAE's, to the same size, {human(found.native_decode)}",
        "training step": f"{human(found.training_step)} a sample, {found.training_step / found.forward:.2f} forwards",
        "an image": f"{human(image)}: {n} forwards and a decode; native {human(native)}: {native / image:.2f} times",
    }  # fmt: skip
    lines |= {f"{name}, all": human(flops) for name, flops in stage_flops(e, found).items()}
    train = e.adapt.train
    lines["adaptation, all"] += f": {train.steps:,} steps of {train.batch_size}"
    return [f"  {name:<18} {text}" for name, text in lines.items()]


def predicted_lines(e: Experiment, found: Count, arch: Architecture, assumed: Assumptions) -> list[str]:
    """What is a prediction."""
    lines = [f"  {part:<68} {size_text(size)}" for part, size in memory(e, found, arch).items()]
    lines += [f"  {f'store: {part}':<68} {size_text(size)}" for part, size in disk(e).items()]
    image = forwards(e) * found.forward + found.decode
    work = stage_flops(e, found)
    for gpu, peak in PEAK_TFLOPS.items():
        rate = peak * 1e12 * assumed.sampling_mfu / image
        days = {name: flops / (peak * 1e12 * assumed.training_mfu * DAY) for name, flops in work.items()}
        spent = ", ".join(f"{name} {d:.3g}" for name, d in days.items())
        lines.append(f"  {gpu:<5} {rate:10.3f} img/s at {assumed.sampling_mfu:.0%} of {peak:.0f} TFLOP/s")
        lines.append(f"        GPU-days at {assumed.training_mfu:.0%}: {spent}")
    if e.base_dit.family == "lightning" and not e.base_dit.pretrained:
        lines.append(
            "  Networks this small do not reach such shares on a GPU; training the base models is not in the days."
        )
    return lines


def describe(name: str, e: Experiment, assumed: Assumptions | None = None) -> str:
    """The text of `davae plan NAME`."""
    if not e.davae.detail_channels or e.davae.detail_channels < 0:
        raise ValueError("a plan compares the widened model with its base: davae.detail_channels must be above 0")
    found, arch = count(e), architecture(e)
    lines = [
        f"{name}: {e.base_dit.family}, {e.data.resolution_px} px, scale {e.data.scale}",
        "",
        "Counted on the networks as built (meta device)",
        *counted_lines(e, found, arch),
        "",
        "Predicted, not measured",
        *predicted_lines(e, found, arch, assumed or Assumptions()),
    ]
    if name in PUBLISHED:
        lines += ["", f"Published, for the preset as it stands: {PUBLISHED[name]}"]
    return "\n".join(lines)
