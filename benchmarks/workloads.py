"""What the scenarios run: a function to time, and what it works on."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from diffusers import ModelMixin
from PIL import Image
from torch import nn

from benchmarks.networks import (
    DTYPES,
    MODELS,
    architecture_of,
    autoencoder,
    experiment_of,
    grid,
    materialised,
    normal,
    parameters,
    random_like,
    side_px,
    transformer,
    weights_dtype,
)
from benchmarks.own_model import made
from benchmarks.scenarios import Scenario
from benchmarks.trainers import batch_drawing, bookkeeping, davae_trainer, dit_trainer
from davae.core.data_config import DataConfig
from davae.core.runtime import Runtime
from davae.data.crops import draw_crops, load_source
from davae.data.image_sets import open_images
from davae.features.extract import BATCH, Host, extract
from davae.features.registry import open_extractor
from davae.method.sampler import guided_forwards
from davae.models.dit import DiT
from davae.models.families.registry import family_of
from davae.models.unweighted import first, prompt_ids
from davae.stages.samples import sample_latents


@dataclass
class Workload:
    """A function to time, and what it works on."""

    run: Callable[[], Any]
    images: int
    """Images a run."""
    params: int
    tokens: int
    """Image tokens a forward; 0 for an autoencoder."""
    channels: int
    """Of the latent."""
    resolution_px: int
    networks: tuple[nn.Module, ...] = ()
    """What `compile` acts on."""
    flops_closed_form: int = 0
    """Of a run, where there is a closed form; 0: there is none."""
    steps: int = 0
    cfg_forwards: int = 0
    ceiling: Literal["matmul", "convolution", ""] = ""
    """The machine's own rate that the run is held against; empty: none."""
    parts: dict[str, Callable[[], Any]] = field(default_factory=dict)
    """Stages of the run that are also timed apart."""
    counted: tuple[Callable[[], Any], int] | None = None
    """What is counted in place of the run, and how many of it a run is: where the run leaves its
    work to other threads, which a counter does not see."""


def denoise(s: Scenario, device: str) -> Workload:
    """One forward of the transformer."""
    e = experiment_of(s)
    channels, side = grid(e, s)
    arch, patch = architecture_of(e, s), family_of(e).patch_size or e.base_dit.patch_size
    network = transformer(e, s, device)
    inputs = random_like(arch.inputs(s.batch, channels, side), device, weights_dtype(s))
    tokens = (side // patch) ** 2
    return Workload(
        run=lambda: first(network(**inputs)),
        images=s.batch,
        params=parameters(network),
        tokens=tokens,
        channels=channels,
        resolution_px=e.data.resolution_px,
        networks=(network,),
        flops_closed_form=s.batch * arch.closed_form(tokens, channels * patch**2),
        ceiling="matmul",
    )


def decode(s: Scenario, device: str) -> Workload:
    """Latents to images."""
    e = experiment_of(s) if s.model in MODELS else None
    network = autoencoder(e, s, device)
    if e is None:
        channels, side, px = 32, side_px(s) // 32, side_px(s)
    else:
        (channels, side), px = grid(e, s), e.data.resolution_px
    z = normal((s.batch, channels, side, side), device, weights_dtype(s))
    used = [network.decoder, *([network.detail_up] if s.form == "widened" else [])]
    return Workload(
        run=lambda: network.decode(z).sample,
        images=s.batch,
        params=parameters(*used),
        tokens=0,
        channels=channels,
        resolution_px=px,
        networks=(network.decoder,),
        ceiling="convolution",
    )


def encode(s: Scenario, device: str) -> Workload:
    """Images to latents, base and detail."""
    e = experiment_of(s) if s.model in MODELS else None
    network = autoencoder(e, s, device)
    px = side_px(s) if e is None else e.data.resolution_px
    images = normal((s.batch, 3, px, px), device, weights_dtype(s)).clamp(-1, 1)
    if e is None:
        run, encoders = (lambda: network.encode(images).latent), (network.encoder,)
    else:
        run = lambda: network.encode(images).latent_dist.mode()  # noqa: E731
        encoders = (network.encoder,) if s.form == "native" else (
            network.base_encoder, network.detail_encoder
        )  # fmt: skip
    return Workload(
        run=run,
        images=s.batch,
        params=parameters(*encoders),
        tokens=0,
        channels=32 if e is None else grid(e, s)[0],
        resolution_px=px,
        networks=encoders,
        ceiling="convolution",
    )


def text(s: Scenario, device: str, clip_only: bool = False) -> Workload:
    """The prompts of a batch through the text encoders, with the empty ones of guidance."""
    e = experiment_of(s)
    prompts = s.batch * guided_forwards(e.sample.guidance_scale)
    with torch.device("meta"):
        arch = architecture_of(e, s)
        built = arch.text_encoders()
    kept = [x for x in built if not clip_only or type(x).__name__.startswith("CLIP")]
    encoders = [materialised(lambda x=x: x, device, weights_dtype(s)) for x in kept]  # type: ignore[misc]
    ids = [prompt_ids(x, arch, prompts).to(device) for x in encoders]
    return Workload(
        run=lambda: [x(i)[0] for x, i in zip(encoders, ids, strict=True)],
        images=s.batch,
        params=parameters(*encoders),
        tokens=0,
        channels=0,
        resolution_px=e.data.resolution_px,
        networks=tuple(encoders),
        ceiling="matmul",
    )


def sample(s: Scenario, device: str) -> Workload:
    """Prompts or classes and noise to images: text, every step with guidance, then the decoder."""
    e = experiment_of(s)
    channels, side = grid(e, s)
    family, dtype = family_of(e), weights_dtype(s)
    network, vae = transformer(e, s, device), autoencoder(e, s, device)
    z = normal((s.batch, channels, side, side), device, dtype)
    parts: dict[str, Callable[[], Any]] = {}
    encoder_params = 0
    if family.conditions == "captions":
        encoders = text(s, device)
        encoder_params = encoders.params
        parts["text"] = encoders.run
        parts["denoise"] = euler(network, e, s, device)
    else:
        labels = torch.zeros(s.batch, dtype=torch.long, device=device)
        parts["denoise"] = lambda: sample_latents(
            family.guided(network, labels, e.sample), z, e.sample
        )
    parts["decode"] = lambda: vae.decode(z).sample

    def run() -> None:
        for part in parts.values():
            part()

    steps, patch = e.sample.num_inference_steps, family.patch_size or e.base_dit.patch_size
    return Workload(
        run=run,
        images=s.batch,
        params=parameters(network, vae) + encoder_params,
        tokens=(side // patch) ** 2,
        channels=channels,
        resolution_px=e.data.resolution_px,
        networks=(network, vae.decoder),
        steps=steps,
        cfg_forwards=steps * architecture_of(e, s).forwards_a_step,
        ceiling="matmul",
        parts=parts,
    )


def euler(network: nn.Module, e: Any, s: Scenario, device: str) -> Callable[[], torch.Tensor]:
    """The steps of a pipeline's sampling on its transformer's own arguments, guidance as a doubled
    batch."""
    channels, side = grid(e, s)
    arch, steps = architecture_of(e, s), e.sample.num_inference_steps
    copies = arch.forwards_a_step
    inputs = random_like(arch.inputs(copies * s.batch, channels, side), device, weights_dtype(s))

    def run() -> torch.Tensor:
        x = inputs["hidden_states"][: s.batch]
        for _ in range(steps):
            both = torch.cat([x] * copies)
            velocity = first(network(**{**inputs, "hidden_states": both}))
            if copies == 2:
                prompted, empty = velocity.chunk(2)
                velocity = empty + e.sample.guidance_scale * (prompted - empty)
            x = x + velocity / steps
        return x

    return run


FOLDERS: list[tempfile.TemporaryDirectory[str]] = []
"""Folders of this process, removed at its end."""


def scratch() -> Path:
    """A folder for a training's log or for images."""
    FOLDERS.append(tempfile.TemporaryDirectory(prefix="davae_bench"))
    return Path(FOLDERS[-1].name)


def train(s: Scenario, device: str) -> Workload:
    """One step of the transformer's training, EMA and optimizer included, on random latents."""
    e = experiment_of(s)
    channels, side = grid(e, s)
    network = transformer(e, s, device)
    trainer = dit_trainer(network, s.batch, scratch(), Runtime(device=device, dtype=s.dtype))
    runs = {"train": lambda t: t.step, "update": bookkeeping, "draw": batch_drawing}
    return Workload(
        run=runs[s.stage](trainer),
        images=s.batch,
        params=parameters(network),
        tokens=(side // e.base_dit.patch_size) ** 2,
        channels=channels,
        resolution_px=e.data.resolution_px,
        networks=(network,),
        ceiling="matmul" if s.stage == "train" else "",
    )


def train_vae(s: Scenario, device: str) -> Workload:
    """One step of the DA-VAE's training on random images."""
    e = experiment_of(s)
    network = autoencoder(e, s, device)
    px = e.data.resolution_px
    trainer = davae_trainer(network, s.batch, px, scratch(), Runtime(device=device, dtype=s.dtype))
    return Workload(
        run=trainer.step,
        images=s.batch,
        params=parameters(network),
        tokens=0,
        channels=grid(e, s)[0],
        resolution_px=px,
        networks=(network,),
        ceiling="convolution",
    )


def features(s: Scenario, device: str) -> Workload:
    """A folder of photograph crops through an extractor, or its network alone on one batch."""
    extractor = open_extractor(s.model, Host(device))
    px = s.resolution_px or 256
    data = DataConfig(resolution_px=px, min_crop_px=px, max_crop_px=px)
    crops, _ = draw_crops(data, load_source(DataConfig()), 0, "fresh", s.batch)
    pixels = [np.ascontiguousarray(crop.transpose(1, 2, 0)) for crop in crops]
    batch = torch.from_numpy(np.stack([extractor.prepare(x) for x in pixels[:BATCH]]))
    batch = batch.to(device, memory_format=torch.channels_last)
    alone = torch.inference_mode()(lambda: extractor.network(batch))
    networks = (extractor.network,) if isinstance(extractor.network, nn.Module) else ()
    whole = Workload(
        run=alone, images=s.batch, params=parameters(*networks), tokens=0, channels=0,
        resolution_px=px, networks=networks, ceiling="convolution",
    )  # fmt: skip
    if s.stage == "features_network":
        return whole
    folder = scratch()
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{i:04d}.png")
    images = open_images(folder)
    return replace(
        whole,
        run=lambda: extract(extractor, images, device),
        counted=(alone, s.batch // len(batch)),
    )


def forward(s: Scenario, device: str) -> Workload:
    """One forward of a model of your own: `pkg.module:factory`, factory(batch, device) -> (network,
    its arguments by name)."""
    network, inputs = made(s.model, s.batch, device)
    networks = (network.eval(),) if isinstance(network, nn.Module) else ()
    return Workload(
        run=lambda: network(**inputs),
        images=s.batch,
        params=parameters(*networks),
        tokens=0,
        channels=0,
        resolution_px=s.resolution_px,
        networks=networks,
        ceiling="matmul",
    )


STAGES: dict[str, Callable[[Scenario, str], Workload]] = {
    "denoise": denoise,
    "sample": sample,
    "encode": encode,
    "decode": decode,
    "text": text,
    "text_clip": lambda s, device: text(s, device, clip_only=True),
    "train": train,
    "update": train,
    "draw": train,
    "train_vae": train_vae,
    "features": features,
    "features_network": features,
    "forward": forward,
}


def trains(s: Scenario) -> bool:
    """Whether the scenario needs gradients."""
    return s.stage in ("train", "train_vae", "update", "draw")


def workload(s: Scenario, device: str = "cpu") -> Workload:
    """The scenario's workload, compiled as it says."""
    built = STAGES[s.stage](s, device)
    for network in built.networks:
        compile_network(network, s.compile)
    if weights_dtype(s) != DTYPES[s.dtype] and not trains(s):  # a trainer casts by its runtime
        runtime = Runtime(device=device, dtype=s.dtype)
        built.run = cast_products(built.run, runtime)
        built.parts = {name: cast_products(part, runtime) for name, part in built.parts.items()}
    return built


def cast_products(run: Callable[[], Any], runtime: Runtime) -> Callable[[], Any]:
    """`run` under the runtime's autocast."""

    def cast() -> Any:
        with runtime.autocast():
            return run()

    return cast


def compile_network(network: nn.Module, how: str) -> None:
    """Compile a network as a whole, or block by block: those that diffusers names, or every entry
    of the longest ModuleList."""
    if how == "off":
        return
    if how == "whole" and isinstance(network, DiT):  # the sampler calls `velocity`
        network.velocity = torch.compile(network.velocity)  # type: ignore[method-assign]
        return
    if how == "whole":
        network.compile()
        return
    if isinstance(network, ModelMixin) and network._repeated_blocks:
        network.compile_repeated_blocks()
        return
    lists = [module for module in network.modules() if isinstance(module, nn.ModuleList)]
    for block in max(lists, key=len):
        block.compile()
