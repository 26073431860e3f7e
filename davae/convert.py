"""Converting public checkpoints (LDM-named DA-VAE, LightningDiT) into `from_pretrained` folders."""

from __future__ import annotations

import pickle
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro
from safetensors.torch import load_file

from davae.models.davae import DAVAE, DAVAEConfig
from davae.models.dit import DiT, DiTConfig, rotary_table, sincos_positions

Tensors = dict[str, torch.Tensor]

CONTAINERS = ("ema", "state_dict", "model")
"""Keys under which checkpoints keep their tensors, the preferred first."""
PREFIXES = ("module.", "weights.", "model.")
VECTORS = ("input.", "output", "__")
"""Entries beside the `weights.` of a file of test vectors, which are no parameters."""
BYPASSED = ("da.encoder.conv_out.", "da.decoder.conv_in.")
"""Layers that the released networks hold and never run."""


@dataclass(frozen=True)
class ConvertOptions:
    """Convert a DA-VAE or LightningDiT checkpoint into a folder for `from_pretrained`.

    The kind of network and its config are inferred from names and shapes; what these do not show
    is an option. Only tensors are read: a pickled object is refused.
    """

    source: Annotated[Path, tyro.conf.Positional]
    """A .safetensors, .pt or .ckpt file."""
    out: Path
    """The folder to write; it must not exist yet."""
    num_heads: int | None = None
    """Attention heads of a DiT whose file has neither rotary tables nor qk-norm."""
    norm_num_groups: int = 32
    """Groups of a DA-VAE's GroupNorm layers."""
    scaling_factor: float = 1.0
    """Scaling factor of the base latent, which these checkpoints do not carry."""
    shift_factor: float = 0.0
    """Shift factor of the base latent."""


def convert(options: ConvertOptions) -> str:
    """Write the folder; returns what was done. Raises ValueError for anything not understood."""
    if options.out.exists():
        raise ValueError(f"{options.out} exists already; name a folder that does not")
    tensors, notes = read_tensors(options.source)
    model: DAVAE | DiT
    if "da.da_down.conv.weight" in tensors:
        config, renamed, more = davae_from_ldm(tensors, options)
        model = DAVAE(**asdict(config))
        kind = f"DA-VAE with {config.base_channels} base and {config.detail_channels} detail channels"
    elif "x_embedder.proj.weight" in tensors and "final_layer.linear.weight" in tensors:
        dit_config, renamed, more = dit_from_lightning(tensors, options)
        model = DiT(**asdict(dit_config))
        kind = f"DiT, depth {dit_config.depth}, width {dit_config.hidden_size}, {dit_config.num_heads} heads"
    else:
        some = ", ".join(sorted(tensors)[:5])
        raise ValueError(f"{options.source} is neither a DA-VAE nor a LightningDiT: it has {some}, ...")
    load_exactly(model, renamed)
    model.save_pretrained(options.out)
    lines = [f"{options.source}: {kind}; {len(renamed)} tensors written to {options.out}", *notes, *more]
    return "\n".join(lines)


def load_exactly(model: torch.nn.Module, tensors: Tensors) -> None:
    """Load all tensors; raises ValueError listing every missing, unexpected or misshapen key."""
    own = model.state_dict()
    own_buffers = {"detail_mean", "detail_std"}
    missing = sorted(set(own) - set(tensors) - own_buffers)
    unexpected = sorted(set(tensors) - set(own))
    shapes = [
        f"{k} {list(tensors[k].shape)} for {list(own[k].shape)}"
        for k in sorted(set(own) & set(tensors))
        if own[k].shape != tensors[k].shape
    ]
    problems = [f"missing: {missing}"] * bool(missing) + [f"unexpected: {unexpected}"] * bool(unexpected)
    problems += [f"of another shape: {shapes}"] * bool(shapes)
    if problems:
        raise ValueError("the checkpoint does not fit the inferred network; " + "; ".join(problems))
    model.load_state_dict({**own, **tensors})


def read_tensors(path: Path) -> tuple[Tensors, list[str]]:
    """The checkpoint's tensors without containers and prefixes, and notes on what was left out."""
    if not path.is_file():
        raise ValueError(f"{path} is not a file")
    if path.suffix == ".safetensors":
        tensors = load_file(path)
    elif path.suffix in (".pt", ".ckpt", ".pth"):
        tensors = _unwrap(path)
    else:
        raise ValueError(f"{path} is not a .safetensors, .pt, .pth or .ckpt file")
    notes = []
    if any(name.startswith("weights.") for name in tensors):
        vectors = [name for name in tensors if name.startswith(VECTORS)]
        notes = [f"left out, test vectors beside the weights: {', '.join(sorted(vectors))}"] if vectors else []
        tensors = {name: t for name, t in tensors.items() if name not in vectors}
    for prefix in PREFIXES:
        if tensors and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): t for name, t in tensors.items()}
    return tensors, notes


def _unwrap(path: Path) -> Tensors:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{path} holds pickled objects, which are never executed; save its tensors alone") from error
    for container in CONTAINERS:
        if isinstance(content, dict) and isinstance(content.get(container), dict):
            content = content[container]
            break
    if not isinstance(content, dict) or not all(isinstance(t, torch.Tensor) for t in content.values()):
        raise ValueError(f"{path} holds no dictionary of tensors, alone or under {', '.join(CONTAINERS)}")
    return content


def _count(tensors: Tensors, pattern: str) -> int:
    """1 + the largest number that `pattern` captures in any name; 0 if none does."""
    found = [int(m[1]) for name in tensors if (m := re.match(pattern, name))]
    return max(found, default=-1) + 1


def davae_from_ldm(tensors: Tensors, options: ConvertOptions) -> tuple[DAVAEConfig, Tensors, list[str]]:
    """Config, tensors under our names, and notes, of a DA-VAE with LDM names."""
    levels = _count(tensors, r"base_encoder\.down\.(\d+)\.")
    blocks = _count(tensors, r"base_encoder\.down\.0\.block\.(\d+)\.")
    widths = tuple(tensors[f"base_encoder.down.{i}.block.0.conv2.weight"].shape[0] for i in range(levels))
    base = tensors["base_encoder.conv_out.weight"].shape[0] // 2
    total = tensors["da.da_up.conv.weight"].shape[1]
    scale = round((tensors["da.da_up.conv.weight"].shape[0] / widths[-1]) ** 0.5)
    config = DAVAEConfig(
        in_channels=tensors["base_encoder.conv_in.weight"].shape[1],
        out_channels=tensors["da.decoder.conv_out.weight"].shape[0],
        latent_channels=total,
        detail_channels=total - base,
        block_out_channels=widths + (widths[-1],) * (scale.bit_length() - 1),
        layers_per_block=blocks,
        norm_num_groups=options.norm_num_groups,
        scale=scale,
        level_attention=any(name.startswith(f"base_encoder.down.{levels - 1}.attn.") for name in tensors),
        mid_attention="base_encoder.mid.attn_1.q.weight" in tensors,
        use_quant_conv="base_quant_conv.weight" in tensors,
        scaling_factor=options.scaling_factor,
        shift_factor=options.shift_factor,
    )
    bypassed = sorted(name for name in tensors if name.startswith(BYPASSED))
    renamed = {davae_name(k, levels): v for k, v in tensors.items() if k not in bypassed}
    renamed = {k: v[:, :, 0, 0] if ".attentions." in k and v.ndim == 4 else v for k, v in renamed.items()}
    notes = [f"left out, bypassed in the network: {', '.join(bypassed)}"] if bypassed else []
    return config, renamed, notes


RENAMES = (
    (r"^da\.encoder\.", "detail_encoder."),
    (r"^da\.decoder\.", "decoder."),
    (r"^da\.da_down\.", "detail_down."),
    (r"^da\.da_up\.", "detail_up."),
    (r"\.mid\.block_1\.", ".mid_block.resnets.0."),
    (r"\.mid\.block_2\.", ".mid_block.resnets.1."),
    (r"\.mid\.attn_1\.", ".mid_block.attentions.0."),
    (r"\.down\.(\d+)\.block\.", r".down_blocks.\1.resnets."),
    (r"\.down\.(\d+)\.attn\.", r".down_blocks.\1.attentions."),
    (r"\.down\.(\d+)\.downsample\.", r".down_blocks.\1.downsamplers.0."),
    (r"\.up\.(\d+)\.block\.", r".up_blocks.\1.resnets."),
    (r"\.up\.(\d+)\.attn\.", r".up_blocks.\1.attentions."),
    (r"\.up\.(\d+)\.upsample\.", r".up_blocks.\1.upsamplers.0."),
    (r"\.nin_shortcut\.", ".conv_shortcut."),
    (r"\.norm_out\.", ".conv_norm_out."),
    (r"(\.attentions\.\d+)\.norm\.", r"\1.group_norm."),
    (r"(\.attentions\.\d+)\.([qkv])\.", r"\1.to_\2."),
    (r"(\.attentions\.\d+)\.proj_out\.", r"\1.to_out.0."),
)
"""LDM's names to diffusers'; up blocks are counted from the other end, see `davae_name`."""


def davae_name(name: str, levels: int) -> str:
    """The name in `DAVAE` of a parameter with an LDM name."""
    for pattern, replacement in RENAMES:
        name = re.sub(pattern, replacement, name)
    return re.sub(r"\.up_blocks\.(\d+)\.", lambda m: f".up_blocks.{levels - 1 - int(m[1])}.", name)


def dit_from_lightning(tensors: Tensors, options: ConvertOptions) -> tuple[DiTConfig, Tensors, list[str]]:
    """Config, tensors, and notes, of a LightningDiT; its fixed tables are checked and left out."""
    width, channels, patch, _ = tensors["x_embedder.proj.weight"].shape
    fixed = {k: tensors[k] for k in ("pos_embed", "feat_rope.freqs_cos", "feat_rope.freqs_sin") if k in tensors}
    if "pos_embed" not in fixed:
        raise ValueError("the checkpoint has no pos_embed, from which the size of its grid is read")
    grid = round(fixed["pos_embed"].shape[1] ** 0.5)
    heads = options.num_heads
    for name in ("blocks.0.attn.q_norm.weight", "feat_rope.freqs_cos"):
        if name in tensors and heads is None:
            heads = width // tensors[name].shape[-1]
    if heads is None:
        raise ValueError("the file shows no head width (no rotary tables, no qk-norm); give --num-heads")
    config = DiTConfig(
        in_channels=channels,
        input_size=grid * patch,
        patch_size=patch,
        hidden_size=width,
        depth=_count(tensors, r"blocks\.(\d+)\."),
        num_heads=heads,
        num_classes=tensors["y_embedder.embedding_table.weight"].shape[0] - 1,
        qk_norm="blocks.0.attn.q_norm.weight" in tensors,
    )
    cos, sin = rotary_table(grid, width // heads)
    tables = {"pos_embed": sincos_positions(grid, width)[None], "feat_rope.freqs_cos": cos, "feat_rope.freqs_sin": sin}
    for name, stored in fixed.items():
        if stored.shape != tables[name].shape or not torch.allclose(stored.float(), tables[name], atol=1e-4):
            raise ValueError(f"the checkpoint's {name} {list(stored.shape)} is not the table this DiT computes")
    notes = [f"left out, equal to the computed tables: {', '.join(fixed)}"]
    return config, {k: v for k, v in tensors.items() if k not in fixed}, notes
