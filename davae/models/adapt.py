"""Widening diffusers' transformers, LoRA on them, and both in one file beside a pipeline.

`adapt` widens in place by `davae.method.widen`; a pipeline then asks the transformer's config for C
+ D latent channels and a `DAVAE` in place of its VAE decodes them. The recipe of the SD3.5-M
variant: LoRA of rank 256 on the image stream, the widened layers trained in full."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import ModelMixin
from safetensors import safe_open
from safetensors.torch import save_file

from davae.method.widen import Init, WidenedConv2d, WidenedHead, WidenedLinear, WidenReport, widen
from davae.models.davae import DAVAE
from davae.models.families.family import Layout
from davae.models.families.registry import FAMILIES

ADAPTER = "davae"
METADATA = "davae"
ADAPTED = "adapted.safetensors"
DAVAE_FOLDER = "davae"
"""What `attach` looks for in a folder."""
WIDENED = (WidenedConv2d, WidenedLinear, WidenedHead)


LAYOUTS = {
    "PixArtTransformer2DModel": Layout("pos_embed.proj", "proj_out"),
    "DiTTransformer2DModel": Layout("pos_embed.proj", "proj_out_2"),
}
"""Classes that can be widened beside the transformers of FAMILIES."""


def layouts() -> dict[str, Layout]:
    """The layout of every supported class: diffusers', and our LightningDiT."""
    return {family.transformer: family.layout for family in FAMILIES.values()} | LAYOUTS


def layout_of(transformer: ModelMixin) -> Layout:
    """The layout of a supported class; raises ValueError for others."""
    name, supported = type(transformer).__name__, layouts()
    if name not in supported:
        raise ValueError(
            f"{name} is not supported ({', '.join(supported)} are); for a transformer with a "
            "patch-embedding Conv2d or "
            "Linear and a Linear head, name them: adapt(model, D, layout=Layout(embed=..., "
            "head=...))"
        )
    return supported[name]


def adapt(
    transformer: ModelMixin,
    detail_channels: int,
    init: Init = "zero",
    generator: torch.Generator | None = None,
    layout: Layout | None = None,
) -> WidenReport:
    """Widen a transformer of diffusers in place by D latent channels; returns what became of every
    parameter.

    Its config then says C + D channels in and out (times the packing, for FLUX), which is what
    pipelines read, and `detail_channels`. With init "zero" the base channels of its output are the
    pretrained ones bit for bit, for any finite detail. Where the head gives a learned variance as
    well (2 C channels, as PixArt's), that is widened too: [noise C + D | variance C + D].

    `layout` describes a class that is not supported by name; its config has in_channels and
    patch_size, and its forward unpatchifies by `self.out_channels` or the config. Raises ValueError
    for what is not understood."""
    config: Any = transformer.config
    layout = layout or layout_of(transformer)
    name = type(transformer).__name__
    absent = {"in_channels", "patch_size"} - set(config)
    if absent:
        raise ValueError(
            f"the config of this {name} has no {' and '.join(sorted(absent))}; it cannot be widened"
        )
    if config.get("detail_channels", 0):
        raise ValueError(
            f"this {name} has {config.detail_channels} detail channels already; widen the "
            "pretrained one"
        )
    out = config.get("out_channels") or config.in_channels
    groups = out // config.in_channels
    if out not in (config.in_channels, 2 * config.in_channels) or (
        groups == 2 and layout.packed > 1
    ):
        conflict = f"this {name} takes {config.in_channels} channels and gives {out}"
        raise ValueError(
            f"{conflict}; as many as it takes can be widened, or twice as many (a learned variance)"
        )
    report = widen(
        transformer, detail_channels, embed=layout.embed, head=layout.head,
        positions=layout.packed * config.patch_size**2, head_groups=groups, init=init,
        channel_outermost=layout.channel_outermost, generator=generator,
    )  # fmt: skip
    channels = config.in_channels + layout.packed * detail_channels
    changed = {"in_channels": channels, "detail_channels": detail_channels}
    if "out_channels" in config:
        changed["out_channels"] = groups * channels
    transformer.register_to_config(**changed)
    if hasattr(transformer, "out_channels"):  # what diffusers' forwards unpatchify by
        transformer.out_channels = groups * channels
    return report


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters of a transformer's linear layers (Hu et al. 2021)."""

    rank: int = 256
    alpha: int = 256
    targets: tuple[str, ...] = FAMILIES["sd3"].lora_targets
    """Ends of the names of the layers that get one."""


def lora_of(family: str, rank: int) -> Lora:
    """Adapters of a rank on the layers that a family has them on, alpha = rank."""
    return Lora(rank, rank, FAMILIES[family].lora_targets)


def add_lora(transformer: Any, lora: Lora) -> None:
    """Add adapters through peft, their A drawn from a Gaussian and B zero: the function is
    unchanged at first.

    Everything but the adapters and the widened layers is frozen. Raises ValueError where peft is
    missing or a target matches no layer."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ValueError("LoRA needs peft: pip install 'davae[sd3]'") from error
    names = [
        name for name, module in transformer.named_modules() if isinstance(module, torch.nn.Linear)
    ]
    unmatched = [t for t in lora.targets if not any(f".{name}".endswith(f".{t}") for name in names)]
    if unmatched:
        raise ValueError(
            f"no linear layer of {type(transformer).__name__} ends in {', '.join(unmatched)}; name "
            "its own by Lora(targets=...)"
        )
    chosen = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        target_modules=list(lora.targets),
        init_lora_weights="gaussian",
    )
    # both freeze all but the adapters; what diffusers' own method notes, its own loaders read
    if hasattr(transformer, "add_adapter"):
        transformer.add_adapter(chosen, adapter_name=ADAPTER)
    else:
        inject_adapter_in_model(chosen, transformer, adapter_name=ADAPTER)
    for parameter in widened_layers(transformer).values():
        parameter.requires_grad_(True)


def merge_lora(transformer: Any) -> None:
    """Add the adapters into the layers that they are of, and take them away."""
    from peft.tuners.lora import LoraLayer

    layers = [(n, m) for n, m in transformer.named_modules() if isinstance(m, LoraLayer)]
    for name, layer in layers:
        layer.merge()
        parent, _, leaf = name.rpartition(".")
        setattr(transformer.get_submodule(parent), leaf, layer.get_base_layer())
    transformer.requires_grad_(True)


def freeze_pretrained(transformer: ModelMixin) -> None:
    """Only the widened layers take a gradient, their base parts included; before adapters are
    added."""
    transformer.requires_grad_(False)
    for parameter in widened_layers(transformer).values():
        parameter.requires_grad_(True)


def widened_layers(transformer: ModelMixin) -> dict[str, torch.nn.Parameter]:
    """The parameters of the widened patch embedder and head, base part and detail part, by name."""
    tops = tuple(
        f"{name}." for name, layer in transformer.named_modules() if isinstance(layer, WIDENED)
    )
    return {name: p for name, p in transformer.named_parameters() if tops and name.startswith(tops)}


def save_adaptation(transformer: Any, path: Path | str, lora: Lora | None = None) -> None:
    """Write the widened layers, and the adapters if `lora` was added, to one safetensors file.

    Its metadata say for which class and channels it is. Raises ValueError if the transformer is not
    widened, and FileExistsError for a file that exists."""
    if not transformer.config.get("detail_channels", 0):
        raise ValueError(
            f"this {type(transformer).__name__} is not widened; call davae.models.adapt.adapt first"
        )
    added = any(".lora_" in name for name, _ in transformer.named_parameters())
    if added != (lora is not None):
        conflict = (
            "has adapters and no `lora` was given"
            if added
            else "has no adapters and a `lora` was given"
        )
        raise ValueError(
            f"this {type(transformer).__name__} {conflict}; pass the Lora that add_lora was "
            "called with"
        )
    if Path(path).exists():
        raise FileExistsError(f"{path} exists already; name a file that does not")
    tensors: dict[str, torch.Tensor] = dict(widened_layers(transformer))
    if lora is not None:
        from peft import get_peft_model_state_dict

        tensors |= get_peft_model_state_dict(transformer, adapter_name=ADAPTER)
    description = {
        "class": type(transformer).__name__,
        "in_channels": transformer.config.in_channels,
        "detail_channels": transformer.config.detail_channels,
        "lora": asdict(lora) if lora else None,
    }
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(flat, str(path), metadata={METADATA: json.dumps(description)})


def save_adapters(transformer: Any, path: Path) -> None:
    """Write the adapters alone, of a transformer that was not widened."""
    from peft import get_peft_model_state_dict

    tensors = get_peft_model_state_dict(transformer, adapter_name=ADAPTER)
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, str(path))


def load_adapters(transformer: Any, path: Path, lora: Lora) -> None:
    """Add adapters as they were saved by `save_adapters`; raises ValueError for those of other
    layers."""
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors.torch import load_file

    add_lora(transformer, lora)
    tensors = load_file(path)
    wrong = sorted(set(tensors) ^ set(get_peft_model_state_dict(transformer, adapter_name=ADAPTER)))
    if wrong:
        raise ValueError(f"{path}: missing or unexpected: {', '.join(wrong)}")
    set_peft_model_state_dict(transformer, tensors, adapter_name=ADAPTER)


def load_adaptation(transformer: Any, path: Path | str, layout: Layout | None = None) -> None:
    """Widen a pretrained transformer and load a file of `save_adaptation` into it, in place.

    `layout` is the one given to `adapt`, if one was.

    Raises ValueError for a file of another class or channel count, and for every key that is
    missing, unexpected or of another shape."""
    with safe_open(str(path), "pt") as file:
        metadata = file.metadata() or {}
        if METADATA not in metadata:
            raise ValueError(f"{path} was not written by davae.models.adapt.save_adaptation")
        description = json.loads(metadata[METADATA])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    layout, name = layout or layout_of(transformer), type(transformer).__name__
    if transformer.config.get("detail_channels", 0):
        raise ValueError(f"this {name} is widened already; load the file into the pretrained one")
    base = description["in_channels"] - layout.packed * description["detail_channels"]
    if (name, transformer.config.in_channels) != (description["class"], base):
        conflict = f"this transformer is a {name} of {transformer.config.in_channels} channels"
        raise ValueError(f"{conflict}; {path} adapts a {description['class']} of {base}")
    adapt(transformer, description["detail_channels"], layout=layout)
    lora = (
        Lora(**{**description["lora"], "targets": tuple(description["lora"]["targets"])})
        if description["lora"]
        else None
    )
    own: dict[str, torch.Tensor] = dict(widened_layers(transformer))
    if lora is not None:
        from peft import get_peft_model_state_dict, set_peft_model_state_dict

        add_lora(transformer, lora)
        own |= get_peft_model_state_dict(transformer, adapter_name=ADAPTER)
    wrong = sorted(set(own) ^ set(tensors))
    wrong += [k for k in own if k in tensors and own[k].shape != tensors[k].shape]
    if wrong:
        raise ValueError(f"{path}: missing, unexpected or misshapen: {', '.join(wrong)}")
    layers = widened_layers(transformer)
    with torch.no_grad():
        for key, parameter in layers.items():
            parameter.copy_(tensors[key])
    if lora is not None:
        adapters = {key: tensor for key, tensor in tensors.items() if key not in layers}
        set_peft_model_state_dict(transformer, adapters, adapter_name=ADAPTER)


def attach(
    pipe: Any, path: Path | str, vae: DAVAE | None = None, layout: Layout | None = None
) -> None:
    """Adapt a diffusers pipeline in place: its transformer by the file, its VAE by a `DAVAE`.

    path: a file of `save_adaptation`, or a folder with `adapted.safetensors` and, in `davae`, the
    DA-VAE, as a run leaves it. After `attach(pipe, "adapted")`, `pipe("a prompt", height=1024,
    width=1024)` denoises the tokens that the pretrained pipeline takes for 512 px. With a file and
    no `vae` the pipeline's own VAE stays. The new parts take the old ones' device and dtype. Raises
    ValueError for a folder without the file, and as `load_adaptation`."""
    file = Path(path)
    if file.is_dir():
        vae = vae or DAVAE.from_pretrained(file / DAVAE_FOLDER)
        file = file / ADAPTED
    if not file.is_file():
        raise ValueError(
            f"there is no file {file}; give what save_adaptation wrote, or the folder of it"
        )
    load_adaptation(pipe.transformer, file, layout)
    labels = vars(pipe).get("labels")  # a DiTPipeline keeps its class names beside its components
    replaced = (
        {} if vae is None else {"vae": vae.to(device=pipe.vae.device, dtype=pipe.vae.dtype).eval()}
    )
    components = {**pipe.components, **replaced}
    type(pipe).__init__(
        pipe, **components
    )  # scale factor and image processor follow from the components
    if labels is not None:
        pipe.labels = labels
