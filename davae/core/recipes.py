"""Where the values of a preset are from, and what the authors' release does otherwise.

The paper's text leaves values open that its authors' code gives, and the code has terms that the
text does not. A preset follows the text first (`paper`); `release` takes the terms of the code as
well.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal

from davae.core.experiment import Experiment
from davae.core.presets import PRESETS

Recipe = Literal["paper", "release"]
Source = Literal["paper", "release", "ours", "yours"]
Values = dict[str, Any]
"""Values by path, as `davae.train.lr`."""

OF_SD3_VAE: Values = {
    "davae.convnext_weight": 0.1,
    "davae.train.clip_grad_norm": 1.0,
    "davae.train.lr_schedule": "cosine",
}
OF_SD3: Values = {
    **OF_SD3_VAE,
    "adapt.min_snr_gamma": 5.0,
    "sample.num_inference_steps": 30,
    "sample.guidance_scale": 2.5,
}
RELEASE: dict[str, Values] = {
    "imagenet512": {"adapt.cosine_weight": 1.0},
    "sd35m_1k": OF_SD3,
    "sd35m_2k": OF_SD3,
    "flux_1k": {**OF_SD3_VAE, "adapt.min_snr_gamma": 5.0},
}
"""What the release has beside or in place of the paper's text, by preset; it has nothing for FLUX,
which takes the terms of its VAE and of its loss."""

SILENT = ("sample.", "davae.train.")
"""Where the text says nothing; of losses it says all, so that a term that it lacks is 0 by it."""
TEXT: dict[str, tuple[str, ...]] = {
    "imagenet512": (
        "data.resolution_px", "base_vae.pretrained", "base_vae.latent_channels",
        "base_dit.pretrained", "davae.detail_channels", "davae.align_weight", "adapt.train.steps",
    ),
    **dict.fromkeys(("sd35m_1k", "sd35m_2k"), (
        "data.resolution_px", "base_vae.pretrained", "base_vae.latent_channels", "base_dit.family",
        "base_dit.pretrained", "davae.detail_channels", "adapt.train.steps",
    )),
}  # fmt: skip
"""Paths that the paper's text gives."""
CODE_OF_RELEASE: dict[str, tuple[str, ...]] = {
    "imagenet512": (
        "base_vae.block_out_channels", "base_vae.layers_per_block", "base_vae.mid_attention",
        "base_dit.hidden_size", "base_dit.depth", "base_dit.num_heads", "davae.align_mode",
        "davae.lpips_weight", "davae.gan_weight", "davae.gan_start_step", "davae.train.lr",
        "davae.train.betas", "davae.train.lr_warmup_steps", "adapt.detail_warmup_steps",
        "adapt.train.batch_size", "adapt.train.lr", "adapt.train.lr_warmup_steps",
        "adapt.train.ema_decay", "sample.num_inference_steps", "sample.guidance_interval",
        "sample.timestep_shift",
    ),
    **dict.fromkeys(("sd35m_1k", "sd35m_2k", "flux_1k"), (
        "base_vae.block_out_channels", "base_vae.layers_per_block", "base_vae.mid_attention",
        "base_dit.patch_size", "davae.align_weight", "davae.kl_weight", "davae.l1_weight",
        "davae.lpips_weight", "davae.clamp_base", "davae.train.lr", "davae.train.betas",
        "davae.train.weight_decay",
        "davae.train.lr_warmup_steps", "adapt.detail_warmup_steps", "adapt.lora_rank",
        "adapt.train.lr", "adapt.train.betas", "adapt.train.lr_warmup_steps",
        "adapt.train.ema_decay", "flow.timestep_shift",
    )),
}  # fmt: skip
"""Paths whose values are in the authors' code and not in the text."""


def at_recipe(preset: str, recipe: Recipe) -> Experiment:
    """The preset under a recipe; raises ValueError where the release has none of it."""
    if recipe == "paper":
        return PRESETS[preset]
    if preset not in RELEASE:
        raise ValueError(
            f"the release has no recipe of {preset}; it has one of {', '.join(RELEASE)}"
        )
    e = PRESETS[preset]
    for path, value in RELEASE[preset].items():
        e = changed(e, path.split("."), value)
    return e


def changed(config: Any, path: list[str], value: Any) -> Any:
    """The config with the field at the path replaced."""
    name, *rest = path
    return replace(config, **{name: changed(getattr(config, name), rest, value) if rest else value})


def leaves(config: Any, prefix: str = "") -> Values:
    """Every field of a nested config by its path."""
    found: Values = {}
    for field in fields(config):
        value, path = getattr(config, field.name), f"{prefix}{field.name}"
        found |= leaves(value, f"{path}.") if is_dataclass(value) else {path: value}
    return found


def source(preset: str, path: str, value: Any) -> Source:
    """Where the value of a preset's field is from.

    paper: its text, or a term that the text does not have; release: the authors' code alone; ours;
    yours: what no recipe has."""
    given, other = leaves(PRESETS[preset])[path], RELEASE.get(preset, {})
    if path in other and value == other[path]:
        return "release"
    if value != given:
        return "yours"
    if path in other:
        return "ours" if path.startswith(SILENT) else "paper"
    if path in CODE_OF_RELEASE.get(preset, ()):
        return "release"
    return "paper" if path in TEXT.get(preset, ()) else "ours"


def origins(preset: str, e: Experiment) -> list[tuple[str, str, Source, str]]:
    """(path, value, where it is from, the release's value where that is another) of every field
    that is not as in any experiment, or that the recipes have differently."""
    defaults, other = leaves(Experiment()), RELEASE.get(preset, {})
    rows = []
    for path, value in leaves(e).items():
        if value != defaults[path] or path in other:
            apart = str(other[path]) if path in other and other[path] != value else ""
            rows.append((path, str(value), source(preset, path, value), apart))
    return rows
