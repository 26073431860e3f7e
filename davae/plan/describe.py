"""`davae plan`: what a preset would compute and cost.

Memory, days and img/s are predictions, each with its assumption beside it; none is a measurement.
"""

from __future__ import annotations

from dataclasses import dataclass

from davae.core.experiment import Experiment
from davae.core.recipes import RELEASE, origins
from davae.models.families.family import Architecture
from davae.plan.count import Count, architecture, count, davae_config, tokens

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
    """Share of the GPU's dense bfloat16 peak in sampling; the paper's 1.03 img/s on an A100 is 0.48
    by our count."""
    training_mfu: float = 0.35
    """Share of the peak in training, recomputed activations not counted as work."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value <= 1:
                raise ValueError(f"{name} is {value}; a share of the peak lies in (0, 1]")


def forwards(e: Experiment) -> int:
    """Forwards an image, guidance outside its interval included."""
    return (
        e.sample.num_inference_steps
        * architecture(e).forwards_a_step
        * (1 + (e.sample.solver == "heun"))
    )


def stage_flops(e: Experiment, counted: Count) -> dict[str, float]:
    """FLOPs of the stages that train and encode."""
    images = (e.adapt.train_crops or e.data.train_crops) + 2 * e.data.eval_crops
    davae, adaptation = e.davae.train, e.adapt.train
    return {
        "DA-VAE": float(counted.davae_step * davae.batch_size * davae.steps),
        "latents": float(counted.encode * images),
        "adaptation": float(counted.training_step * adaptation.batch_size * adaptation.steps),
    }


def memory(e: Experiment, counted: Count, arch: Architecture) -> dict[str, float]:
    """Bytes of GPU memory by part: a prediction."""
    still = counted.transformer + counted.widened + counted.lora - counted.trained
    grid = tokens(e) + arch.text_tokens
    autoencoder = counted.davae_frozen + counted.davae_trained
    pixels = e.data.resolution_px**2 * e.base_vae.block_out_channels[0]
    parts = {
        "training: trained weights (4 B; gradient 4, Adam 8, EMA 4)": 20.0 * counted.trained,
        "training: frozen weights (2 B)": 2.0 * still,
        "training: activations a sample (34 T d a block, 2 B included)": 34.0
        * grid
        * arch.width
        * arch.depth,
        "training: the same, blocks recomputed (2 T d a block, one block)": (2.0 * arch.depth + 34)
        * grid
        * arch.width,
        "inference: transformer (2 B)": 2.0
        * (counted.transformer + counted.widened + counted.lora),
        "inference: DA-VAE (2 B)": 2.0 * autoencoder,
        "inference: decoding an image (3 of the widest maps, 2 B)": 6.0 * pixels,
    }
    if counted.text:
        parts["both: text encoders (2 B)"] = 2.0 * counted.text
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


def counted_lines(e: Experiment, counted: Count, arch: Architecture) -> list[str]:
    """What is exact."""
    side, features = (
        e.latent_size // e.base_dit.patch_size,
        davae_config(e).latent_channels * e.base_dit.patch_size**2,
    )
    closed = arch.closed_form(tokens(e), features)
    n = forwards(e)
    image, native = (
        n * counted.forward + counted.decode,
        n * counted.native_forward + counted.native_decode,
    )
    table = f", {counted.positions:,} fixed positions" if counted.positions else ""
    lines = {
        "autoencoder": f"{e.names()['davae']} over {e.names()['base']}",
        "image tokens": f"{tokens(e):,} ({side} x {side}); native {e.data.scale**2 * tokens(e):,}",
        "transformer": f"{counted.transformer:,} parameters, {counted.widened:,} more by "
        f"widening{table}",
        "  together": f"{counted.transformer + counted.widened + counted.positions:,}",
        "  trained": f"{counted.trained:,}, frozen "
        f"{counted.transformer + counted.widened + counted.lora - counted.trained:,}",
        "  LoRA": f"{counted.lora:,} of rank {e.adapt.lora_rank}" if counted.lora else "none",
        "text encoders": f"{counted.text:,} parameters, frozen" if counted.text else "none",
        "DA-VAE": f"{counted.davae_trained:,} trained, {counted.davae_frozen:,} frozen",
        "forward": f"{human(counted.forward)}; closed form {human(closed)} "
        f"({closed / counted.forward - 1:+.2%})",
        "native forward": f"{human(counted.native_forward)} at the same resolution",
        "decode": f"{human(counted.decode)}; the base VAE's, to the same size, "
        f"{human(counted.native_decode)}",
        "training step": f"{human(counted.training_step)} a sample, "
        f"{counted.training_step / counted.forward:.2f} forwards",
        "an image": f"{human(image)}: {n} forwards and a decode; native {human(native)}: "
        f"{native / image:.2f} times",
    }
    lines |= {f"{name}, all": human(flops) for name, flops in stage_flops(e, counted).items()}
    train = e.adapt.train
    lines["adaptation, all"] += f": {train.steps:,} steps of {train.batch_size}"
    return [f"  {name:<18} {text}" for name, text in lines.items()]


def predicted_lines(
    e: Experiment, counted: Count, arch: Architecture, assumed: Assumptions
) -> list[str]:
    """What is a prediction."""
    lines = [f"  {part:<68} {size_text(size)}" for part, size in memory(e, counted, arch).items()]
    lines += [f"  {f'store: {part}':<68} {size_text(size)}" for part, size in disk(e).items()]
    image = forwards(e) * counted.forward + counted.decode
    work = stage_flops(e, counted)
    for gpu, peak in PEAK_TFLOPS.items():
        rate = peak * 1e12 * assumed.sampling_mfu / image
        days = {
            name: flops / (peak * 1e12 * assumed.training_mfu * DAY) for name, flops in work.items()
        }
        spent = ", ".join(f"{name} {d:.3g}" for name, d in days.items())
        lines.append(
            f"  {gpu:<5} {rate:10.3f} img/s at {assumed.sampling_mfu:.0%} of {peak:.0f} TFLOP/s"
        )
        lines.append(f"        GPU-days at {assumed.training_mfu:.0%}: {spent}")
    if e.base_dit.family == "lightning" and not e.base_dit.pretrained:
        lines.append(
            "  Networks this small do not reach such shares on a GPU; training the base models "
            "is not in the days."
        )
    return lines


def origin_lines(name: str, e: Experiment) -> list[str]:
    """Every setting with its source, and the release's value where that is another."""
    rows = origins(name, e)
    return [
        f"  {path:<32} {value:<28} {source:<8}{f' release: {apart}' if apart else ''}".rstrip()
        for path, value, source, apart in rows
    ]


def describe(name: str, e: Experiment, assumed: Assumptions | None = None) -> str:
    """The text of `davae plan NAME`."""
    if not e.davae.detail_channels or e.davae.detail_channels < 0:
        raise ValueError(
            "a plan compares the widened model with its base: davae.detail_channels must be above 0"
        )
    counted, arch = count(e), architecture(e)
    lines = [
        f"{name}: {e.base_dit.family}, {e.data.resolution_px} px, scale {e.data.scale}",
        "",
        "Counted on the networks as built (meta device)",
        *counted_lines(e, counted, arch),
        "",
        "Predicted, not measured",
        *predicted_lines(e, counted, arch, assumed or Assumptions()),
    ]
    if name in RELEASE:
        lines += ["", "Settings, and where they are from", *origin_lines(name, e)]
    if name in PUBLISHED:
        lines += ["", f"Published, for the preset as it stands: {PUBLISHED[name]}"]
    return "\n".join(lines)
