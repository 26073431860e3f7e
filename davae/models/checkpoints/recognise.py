"""Which network a checkpoint holds, from the names and shapes of its tensors."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

from davae.core.experiment import BaseVAEConfig
from davae.models.base_vae import autoencoder
from davae.models.checkpoints import keys
from davae.models.checkpoints.keys import Tensors, count_of
from davae.models.checkpoints.options import ConvertOptions
from davae.models.checkpoints.read import read_statistics
from davae.models.davae import DAVAE, DAVAEConfig
from davae.models.dit import DiT, DiTConfig


@dataclass(frozen=True)
class Recognised:
    """A network recognised in a file, with its tensors under our names."""

    model: torch.nn.Module
    description: str
    tensors: Tensors
    notes: list[str]


def check_groups(widths: tuple[int, ...], groups: int) -> None:
    """Raise ValueError where GroupNorm's groups do not divide every width."""
    if any(width % groups for width in widths):
        raise ValueError(
            f"--norm-num-groups is {groups}, which does not divide the widths {list(widths)} "
            "of the file"
        )


def _widths(tensors: Tensors, encoder: str) -> tuple[int, ...]:
    """Widths by level of an encoder, in LDM's or diffusers' naming; raises ValueError where there
    are none."""
    for block in (
        rf"{encoder}.down.#.block.0.conv2.weight",
        rf"{encoder}.down_blocks.#.resnets.0.conv2.weight",
    ):
        levels = count_of(tensors, block.replace(".", r"\.").replace("#", r"(\d+)"))
        if levels:
            names = [block.replace("#", str(i)) for i in range(levels)]
            absent = [name for name in names if name not in tensors]
            if absent:
                raise ValueError(f"the checkpoint has no {', '.join(absent)}")
            return tuple(tensors[name].shape[0] for name in names)
    raise ValueError(
        f"the checkpoint has no levels {encoder}.down.0.block.0 or "
        f"{encoder}.down_blocks.0.resnets.0"
    )


def _body(tensors: Tensors, encoder: str) -> dict[str, Any]:
    """Fields that DAVAEConfig and AutoencoderKL share, read off an encoder in diffusers' naming."""
    levels = count_of(tensors, rf"{encoder}\.down_blocks\.(\d+)\.")
    return {
        "in_channels": tensors[f"{encoder}.conv_in.weight"].shape[1],
        "layers_per_block": count_of(tensors, rf"{encoder}\.down_blocks\.0\.resnets\.(\d+)\."),
        "level_attention": any(
            name.startswith(f"{encoder}.down_blocks.{levels - 1}.attentions.") for name in tensors
        ),
        "mid_attention": f"{encoder}.mid_block.attentions.0.to_q.weight" in tensors,
    }


def _needed(tensors: Tensors, *names: str) -> None:
    absent = [name for name in names if name not in tensors]
    if absent:
        raise ValueError(f"the checkpoint does not fit; missing: {absent}")


def davae_from_file(
    tensors: Tensors, metadata: dict[str, Any], options: ConvertOptions
) -> Recognised:
    """A DA-VAE with LDM's or diffusers' names; raises ValueError for keys without which its config
    is unknown."""
    _needed(
        tensors,
        "base_encoder.conv_out.weight",
        "base_encoder.conv_in.weight",
        "da.decoder.conv_out.weight",
    )
    widths = _widths(tensors, "base_encoder")
    if not metadata:
        check_groups(widths, options.norm_num_groups)
    base = tensors["base_encoder.conv_out.weight"].shape[0] // 2
    rows, total = tensors["da.da_up.conv.weight"].shape[:2]
    scale = round((rows / widths[-1]) ** 0.5)
    reverse = (
        metadata["config"]["detail_first"] if metadata else options.channel_order == "detail_first"
    )
    renamed, bypassed = keys.davae_from_public(
        keys.base_first(tensors, total - base) if reverse else tensors, len(widths)
    )
    config = DAVAEConfig(
        out_channels=tensors["da.decoder.conv_out.weight"].shape[0],
        latent_channels=total,
        detail_channels=total - base,
        block_out_channels=widths + (widths[-1],) * (scale.bit_length() - 1),
        norm_num_groups=options.norm_num_groups,
        scale=scale,
        use_quant_conv="base_quant_conv.weight" in tensors,
        scaling_factor=options.scaling_factor,
        shift_factor=options.shift_factor,
        clamp_base=options.clamp_base,
        detail_first=reverse,
        **_body(renamed, "base_encoder"),
    )
    if metadata:
        config = DAVAEConfig(
            **{**metadata["config"], "block_out_channels": config.block_out_channels}
        )
        renamed |= {name: torch.tensor(metadata[name]) for name in keys.STATISTICS}
    notes = [f"left out, bypassed in the network: {', '.join(bypassed)}"] if bypassed else []
    description = (
        f"DA-VAE with {config.base_channels} base and {config.detail_channels} detail channels"
    )
    return Recognised(DAVAE(**asdict(config)), description, renamed, notes)


def vae_from_file(
    tensors: Tensors, metadata: dict[str, Any], options: ConvertOptions
) -> Recognised:
    """A VA-VAE or another LDM autoencoder, as diffusers' AutoencoderKL."""
    widths = _widths(tensors, "encoder")
    if not metadata:
        check_groups(widths, options.norm_num_groups)
    renamed = keys.from_ldm(tensors, len(widths))
    body = _body(renamed, "encoder")
    stored = {
        "norm_num_groups": options.norm_num_groups, "scaling_factor": options.scaling_factor,
        "shift_factor": options.shift_factor, "force_upcast": False, **metadata.get("config", {}),
    }  # fmt: skip
    widths_only = BaseVAEConfig(
        latent_channels=tensors["decoder.conv_in.weight"].shape[1], block_out_channels=widths,
        layers_per_block=body["layers_per_block"], norm_num_groups=stored.pop("norm_num_groups"),
        mid_attention=body["mid_attention"],
    )  # fmt: skip
    vae = autoencoder(
        widths_only,
        level_attention=body["level_attention"],
        in_channels=body["in_channels"],
        out_channels=tensors["decoder.conv_out.weight"].shape[0],
        use_quant_conv="quant_conv.weight" in tensors,
        use_post_quant_conv="post_quant_conv.weight" in tensors,
        **stored,
    )
    notes = []
    if options.latent_stats is not None:
        renamed = fold_statistics(renamed, *read_statistics(options.latent_stats))
        notes = [
            f"the statistics of {options.latent_stats} are folded into quant_conv and "
            "post_quant_conv"
        ]
    description = (
        f"autoencoder of {widths_only.latent_channels} channels, factor {2 ** (len(widths) - 1)}"
    )
    return Recognised(vae, description, renamed, notes)


def fold_statistics(tensors: Tensors, mean: torch.Tensor, std: torch.Tensor) -> Tensors:
    """The autoencoder whose latent is (z - mean) / std by channel; mean, std [C]."""
    _needed(
        tensors,
        "quant_conv.weight",
        "quant_conv.bias",
        "post_quant_conv.weight",
        "post_quant_conv.bias",
    )
    weight, bias = tensors["quant_conv.weight"].clone(), tensors["quant_conv.bias"].clone()
    channels = len(weight) // 2
    if len(mean) != channels or not bool((std > 0).all()):
        raise ValueError(
            f"the statistics are of {len(mean)} channels (std from {std.min():g}); the latent "
            f"has {channels}"
        )
    weight[:channels] /= std[:, None, None, None]
    bias[:channels] = (bias[:channels] - mean) / std
    bias[channels:] -= 2 * std.log()
    back = tensors["post_quant_conv.weight"]
    return {
        **tensors, "quant_conv.weight": weight, "quant_conv.bias": bias,
        "post_quant_conv.weight": back * std[None, :, None, None],
        "post_quant_conv.bias": tensors["post_quant_conv.bias"] + back[:, :, 0, 0] @ mean,
    }  # fmt: skip


def dit_from_file(
    tensors: Tensors, metadata: dict[str, Any], options: ConvertOptions
) -> Recognised:
    """A LightningDiT; its fixed tables are checked and left out."""
    width, channels, patch, _ = tensors["x_embedder.proj.weight"].shape
    fixed = {k: tensors[k] for k in keys.TABLES if k in tensors}
    if "pos_embed" not in fixed:
        raise ValueError("the checkpoint has no pos_embed, from which the size of its grid is read")
    _needed(tensors, "y_embedder.embedding_table.weight")
    grid = round(fixed["pos_embed"].shape[1] ** 0.5)
    heads = options.num_heads
    for name in ("blocks.0.attn.q_norm.weight", "feat_rope.freqs_cos"):
        if name in tensors and heads is None:
            heads = width // tensors[name].shape[-1]
    if metadata:
        heads = metadata["config"]["num_heads"]
    if heads is None:
        raise ValueError(
            "the file shows no head width (no rotary tables, no qk-norm); give --num-heads"
        )
    detail = options.detail_channels or metadata.get("config", {}).get("detail_channels", 0)
    if not 0 <= detail < channels:
        raise ValueError(
            f"--detail-channels is {detail}; the file's latent has {channels} channels"
        )
    config = DiTConfig(
        in_channels=channels,
        detail_channels=detail,
        input_size=grid * patch,
        patch_size=patch,
        hidden_size=width,
        depth=count_of(tensors, r"blocks\.(\d+)\."),
        num_heads=heads,
        num_classes=tensors["y_embedder.embedding_table.weight"].shape[0] - 1,
        qk_norm="blocks.0.attn.q_norm.weight" in tensors,
    )
    tables = keys.dit_tables(config)
    for name, stored in fixed.items():
        if stored.shape != tables[name].shape or not torch.allclose(
            stored.float(), tables[name], atol=1e-4
        ):
            raise ValueError(
                f"the checkpoint's {name} {list(stored.shape)} is not the table this DiT computes"
            )
    notes = [f"left out, equal to the computed tables: {', '.join(fixed)}"]
    description = f"DiT, depth {config.depth}, width {width}, {heads} heads"
    return Recognised(
        DiT(**asdict(config)), description, keys.dit_from_public(tensors, config), notes
    )
