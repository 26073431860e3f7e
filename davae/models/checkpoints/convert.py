"""Converting public checkpoints into `from_pretrained` folders, and folders back into public
naming."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from diffusers import AutoencoderKL
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from davae.core.experiment import BaseVAEConfig
from davae.models.base_vae import autoencoder
from davae.models.checkpoints import keys
from davae.models.checkpoints.keys import Tensors, count_of
from davae.models.davae import DAVAE, DAVAEConfig
from davae.models.dit import DiT, DiTConfig

CONTAINERS = ("ema", "state_dict", "model")
"""Keys under which checkpoints keep their tensors, the preferred first."""
PREFIXES = ("module.", "weights.", "model.")
VECTORS = ("input.", "output", "__")
"""Entries beside the `weights.` of a file of test vectors, which are no parameters."""
TRAINING_ONLY = ("loss.", "model_ema.", "foundation_model.", "linear_proj.")
"""Networks that training checkpoints hold beside the autoencoder: losses, averages, VA-VAE's
aligned teacher."""
METADATA = "davae"
"""Where an exported file keeps our config, so that it comes back exactly."""


@dataclass(frozen=True)
class ConvertOptions:
    """Convert a checkpoint into a folder for `from_pretrained`, or such a folder back into public
    naming.

    From a file: DA-VAE (also with the older names dc., dc_down, dc_up), VA-VAE and other LDM
    autoencoders, LightningDiT. The kind of network and its config are inferred from names and
    shapes; what these do not show is an option. Only tensors are read: a pickled object is refused,
    and every key is accounted for.

    From a folder of davae (DA-VAE, DiT) or of diffusers (AutoencoderKL): --out FILE.safetensors
    gets the public names, from which this command makes the same folder again.

    Examples:
      davae convert davae_f32c128.ckpt --out weights/davae
      davae convert vavae.pt --latent-stats latents_stats.pt --out weights/vavae
      davae convert lightningdit_xl.pt --out weights/lightningdit_xl
      davae convert weights/davae --out davae_public.safetensors
    """

    source: Annotated[Path, tyro.conf.Positional]
    """A .safetensors, .pt, .pth or .ckpt file, or a folder."""
    out: Path
    """The folder, or from a folder the .safetensors file, to write; it must not exist yet."""
    num_heads: int | None = None
    """Attention heads of a DiT whose file has neither rotary tables nor qk-norm."""
    detail_channels: int = 0
    """Of a DiT: how many of its channels, at the end, are detail."""
    norm_num_groups: int = 32
    """Groups of an autoencoder's GroupNorm layers."""
    scaling_factor: float = 1.0
    """Scaling factor of the base latent, which these checkpoints do not carry."""
    shift_factor: float = 0.0
    """Shift factor of the base latent."""
    clamp_base: bool = False
    """Of a DA-VAE: clamp the reduced image to [-1, 1] (the SD3.5 variant)."""
    channel_order: Literal["base_first", "detail_first"] = "base_first"
    """Of a DA-VAE's latent in the file: [base | detail] (ImageNet), or [detail | base] (the SD3.5
    variant)."""
    latent_stats: Path | None = None
    """Of a VA-VAE: a file with mean and std by channel, which are folded into its 1x1 convolutions,
    so that its latent comes out normalised as LightningDiT takes it."""


@dataclass(frozen=True)
class Recognised:
    """A network recognised in a file, with its tensors under our names."""

    model: torch.nn.Module
    description: str
    tensors: Tensors
    notes: list[str]


def convert(options: ConvertOptions) -> str:
    """Write the folder or file; returns what was done. Raises ValueError for anything not
    understood."""
    if options.out.exists():
        raise ValueError(f"{options.out} exists already; name one that does not")
    if options.source.is_dir():
        return export(options)
    tensors, metadata, notes = read_tensors(options.source)
    tensors = {keys.current_name(name): tensor for name, tensor in tensors.items()}
    if "da.da_up.conv.weight" in tensors:
        recognised = davae_from_file(tensors, metadata, options)
    elif "x_embedder.proj.weight" in tensors and "final_layer.linear.weight" in tensors:
        recognised = dit_from_file(tensors, metadata, options)
    elif "encoder.conv_out.weight" in tensors and "decoder.conv_in.weight" in tensors:
        recognised = vae_from_file(tensors, metadata, options)
    else:
        some = ", ".join(sorted(tensors)[:5])
        kinds = "neither a DA-VAE nor a LightningDiT nor an LDM autoencoder"
        raise ValueError(f"{options.source} is {kinds}: it has {some}, ...")
    load_exactly(recognised.model, recognised.tensors)
    recognised.model.save_pretrained(options.out)  # type: ignore[operator]
    written = f"{len(recognised.tensors)} tensors written to {options.out}"
    done = f"{options.source}: {recognised.description}; {written}"
    return "\n".join([done, *notes, *recognised.notes])


def load_exactly(model: torch.nn.Module, tensors: Tensors) -> None:
    """Load all tensors; raises ValueError listing every missing, unexpected or misshapen key."""
    own = model.state_dict()
    missing = sorted(set(own) - set(tensors) - set(keys.STATISTICS))
    unexpected = sorted(set(tensors) - set(own))
    shapes = [
        f"{k} {list(tensors[k].shape)} for {list(own[k].shape)}"
        for k in sorted(set(own) & set(tensors))
        if own[k].shape != tensors[k].shape
    ]
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
    problems = [f"{kind}: {names}" for kind, names in kinds.items() if names]
    if problems:
        raise ValueError("the checkpoint does not fit the inferred network; " + "; ".join(problems))
    model.load_state_dict({**own, **tensors})


def read_tensors(path: Path) -> tuple[Tensors, dict[str, Any], list[str]]:
    """The checkpoint's tensors without containers and prefixes, our metadata if it has any, and
    notes on the rest."""
    if not path.is_file():
        raise ValueError(f"{path} is not a file")
    metadata: dict[str, Any] = {}
    if path.suffix == ".safetensors":
        tensors = load_file(path)
        with safe_open(str(path), "pt") as file:
            metadata = json.loads((file.metadata() or {}).get(METADATA, "{}"))
    elif path.suffix in (".pt", ".ckpt", ".pth"):
        tensors = _unwrap(path)
    else:
        raise ValueError(f"{path} is not a .safetensors, .pt, .pth or .ckpt file")
    notes = []
    if any(name.startswith("weights.") for name in tensors):
        vectors = [name for name in tensors if name.startswith(VECTORS)]
        notes = (
            [f"left out, test vectors beside the weights: {', '.join(sorted(vectors))}"]
            if vectors
            else []
        )
        tensors = {name: t for name, t in tensors.items() if name not in vectors}
    tensors = _without_prefixes(tensors)
    extra = Counter(p for name in tensors for p in TRAINING_ONLY if name.startswith(p))
    notes += [
        f"left out, used in training only: {count} tensors of {prefix}*"
        for prefix, count in extra.items()
    ]
    tensors = {name: t for name, t in tensors.items() if not name.startswith(TRAINING_ONLY)}
    return _without_prefixes(tensors), metadata, notes


def _without_prefixes(tensors: Tensors) -> Tensors:
    for prefix in PREFIXES:
        if tensors and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): t for name, t in tensors.items()}
    return tensors


def _unwrap(path: Path) -> Tensors:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} holds pickled objects, which are never executed; save its tensors alone"
        ) from error
    for container in CONTAINERS:
        if isinstance(content, dict) and isinstance(content.get(container), dict):
            content = content[container]
            break
    if not isinstance(content, dict) or not all(
        isinstance(t, torch.Tensor) for t in content.values()
    ):
        raise ValueError(
            f"{path} holds no dictionary of tensors, alone or under {', '.join(CONTAINERS)}"
        )
    return content


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


def read_statistics(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """mean and std [C] of a file of latent statistics."""
    if not path.is_file():
        raise ValueError(f"{path} is not a file")
    stored = load_file(path) if path.suffix == ".safetensors" else _unwrap(path)
    if not {"mean", "std"} <= set(stored):
        raise ValueError(f"{path} holds {', '.join(stored)}; latent statistics are mean and std")
    return stored["mean"].flatten().float(), stored["std"].flatten().float()


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


def export(options: ConvertOptions) -> str:
    """Write a folder's network under public names; its config goes into the file's metadata."""
    path = options.source / "config.json"
    if not path.is_file():
        raise ValueError(f"{options.source} has no config.json; it is no folder of a saved network")
    kind = json.loads(path.read_text()).get("_class_name")
    if options.out.suffix != ".safetensors":
        raise ValueError(
            f"{options.out}: a folder is written back into a .safetensors file; name one with --out"
        )
    metadata: dict[str, Any] = {}
    if kind == "DAVAE":
        davae = DAVAE.from_pretrained(options.source)
        config = DAVAEConfig(**{f.name: davae.config[f.name] for f in fields(DAVAEConfig)})
        tensors, metadata["config"] = (
            keys.davae_to_public(davae.state_dict(), config),
            asdict(config),
        )
        metadata |= {name: davae.get_buffer(name).tolist() for name in keys.STATISTICS}
        if config.detail_first:
            tensors = keys.detail_first(tensors, config.base_channels)
    elif kind == "DiT":
        dit = DiT.from_pretrained(options.source)
        shape = DiTConfig(**{f.name: dit.config[f.name] for f in fields(DiTConfig)})
        tensors, metadata["config"] = keys.dit_to_public(dit.state_dict(), shape), asdict(shape)
    elif kind == "AutoencoderKL":
        vae = AutoencoderKL.from_pretrained(options.source)
        tensors = keys.to_ldm(vae.state_dict(), len(vae.config.block_out_channels))
        kept = ("norm_num_groups", "scaling_factor", "shift_factor", "force_upcast")
        metadata["config"] = {name: vae.config[name] for name in kept}
    else:
        raise ValueError(
            f"{options.source} holds a {kind}; DAVAE, DiT and AutoencoderKL have public names"
        )
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(contiguous, str(options.out), metadata={METADATA: json.dumps(metadata)})
    return (
        f"{options.source}: {kind}; {len(tensors)} tensors written to {options.out} under "
        "their public names"
    )
