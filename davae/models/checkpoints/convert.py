"""Converting public checkpoints into `from_pretrained` folders, and folders back into public
naming."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file

from davae.models.checkpoints import keys
from davae.models.checkpoints.keys import Tensors
from davae.models.checkpoints.options import ConvertOptions
from davae.models.checkpoints.read import METADATA, read_tensors
from davae.models.checkpoints.recognise import (
    davae_from_file,
    dit_from_file,
    vae_from_file,
)
from davae.models.davae import DAVAE, DAVAEConfig
from davae.models.dit import DiT, DiTConfig


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
