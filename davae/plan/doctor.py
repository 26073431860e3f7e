"""`davae doctor`: what would stop a run, found in minutes."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import try_to_load_from_cache
from safetensors import SafetensorError

from davae.core.environment import machine, versions
from davae.core.experiment import Experiment
from davae.core.runtime import Runtime
from davae.core.store import Store
from davae.data.image_sets import ArrayImages
from davae.features.extract import Host, extract
from davae.features.registry import open_extractor
from davae.models.adapt import adapt
from davae.models.base_vae import build_base_vae, encode_mode
from davae.models.davae import DAVAE, DAVAEConfig
from davae.models.families.registry import FAMILIES, family_of
from davae.models.unweighted import CLASSES
from davae.plan.count import count
from davae.plan.first_crops import first_crops
from davae.plan.stages import disk_of, scratch_of, without_files
from davae.stages.data import base_images, stores, training_bytes
from davae.stages.fit import Fit, fits
from davae.stages.inputs import input_problems
from davae.stages.prompts import pretrained_pipeline, prompted
from davae.stages.run_graph import run_stages
from davae.stages.samples import sample_latents
from davae.stages.text import prepare_training
from davae.train.davae import davae_task
from davae.train.loop import Task
from davae.train.transformer import Denoiser, LatentSet, transformer_task

Check = Callable[[], str]
"""What was found, in a few words; raises what would stop the run."""


INPUTS = "weights, data and settings"
FAILURES = (ValueError, ArithmeticError, RuntimeError, OSError, ImportError, LookupError,
            AssertionError, TypeError, AttributeError, SafetensorError)  # fmt: skip
"""What a check may raise: whatever would stop the run, wherever it comes from."""


@dataclass(frozen=True)
class Patient:
    """What is examined."""

    e: Experiment
    runtime: Runtime
    store: Path

    @cached_property
    def fits(self) -> dict[str, Fit]:
        """How each stage fits the GPU; none on a CPU."""
        if self.runtime.kind != "cuda":
            return {}
        plain = without_files(self.e)
        return fits(plain, run_stages(plain), self.memory_gib, self.runtime)

    @property
    def memory_gib(self) -> float:
        """Of the GPU."""
        return torch.cuda.get_device_properties(self.runtime.device).total_memory / 2**30


@dataclass(frozen=True)
class Finding:
    """The result of a check."""

    name: str
    ok: bool | None
    """None: it was not tried."""
    text: str
    seconds: float = 0.0


def examine(patient: Patient) -> Iterator[Finding]:
    """Every check in turn; a failure stops none of the others but where what is missing would only
    fail again."""
    there = True
    for name, check in checks(patient):
        if not there and name.startswith("first batch"):
            yield Finding(name, None, "not tried, for what is missing above")
            continue
        start = time.perf_counter()
        try:
            ok, text = True, check()
        except FAILURES as error:
            ok, text = False, f"{error}" if isinstance(error, ValueError) else repr(error)
        there = there and (ok or name != INPUTS)
        yield Finding(name, ok, text, time.perf_counter() - start)


def checks(p: Patient) -> list[tuple[str, Check]]:
    """Machine, room, inputs, and the first batch of every kind of stage."""
    captions = family_of(p.e).conditions == "captions"
    batches: dict[str, Check] = {
        "first crops": lambda: first_crops(p.e),
        "first batch of the DA-VAE": lambda: davae_batch(p),
        "first batch of the adaptation": lambda: text_batch(p) if captions else class_batch(p),
        "first features of every judge": lambda: judged(p),
    }
    return [
        ("machine and versions", lambda: about(p)),
        ("GPU memory", lambda: gpu_memory(p)),
        ("disk", lambda: disk(p)),
        (INPUTS, lambda: inputs(p)),
        *batches.items(),
    ]


def about(p: Patient) -> str:
    """The machine; raises ValueError for a device that is not there."""
    p.runtime.apply()
    seen = machine()
    where = ", ".join(seen["gpus"]) or f"{seen['cpu']}, {seen['cores']} cores"
    named = ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"{p.runtime.device}: {where}, {seen['memory_gib']} GiB; {named}"


def gpu_memory(p: Patient) -> str:
    """The largest stage; raises ValueError where one does not fit."""
    if p.runtime.kind != "cuda":
        return "no GPU is asked for (--runtime.device cuda); on a CPU nothing is refused"
    if not torch.cuda.is_available():
        raise ValueError("no GPU is there")
    largest = max(p.fits.values(), key=lambda fit: fit.bytes)
    return f"{largest.role} takes most, {largest.bytes / 2**30:.1f} of {p.memory_gib:.1f} GiB"


def disk(p: Patient) -> str:
    """Room for what is not in the store yet; raises ValueError where there is too little."""
    store = Store(p.store)
    begun = (p.store / "crops").exists()  # by a run that has read the data for its keys
    stages = run_stages(p.e if begun else without_files(p.e))
    missing = {s.key: s for s in stages.values() if not store.has(s.name, s.key)}
    counted = count(p.e)
    needed = sum(disk_of(p.e, stage, counted) for stage in missing.values()) / 2**30
    passing = [scratch_of(p.e, r, s) for r, s in stages.items() if s.key in missing]
    needed += max(passing, default=0.0) / 2**30
    top = next(folder for folder in (p.store, *p.store.absolute().parents) if folder.exists())
    if not stores(p.runtime, top, p.e.data) and stages["crops"].key in missing:
        needed -= training_bytes(p.e.data) / 2**30
    free = shutil.disk_usage(top).free / 2**30
    said = f"{needed:.1f} GiB are written below {p.store}, {free:.1f} are free"
    if needed > free:
        raise ValueError(f"{said}: name a larger disk by --store, or fewer data.train_crops")
    return said


def inputs(p: Patient) -> str:
    """Everything that is named and there, or is fetched from the hub; raises ValueError that lists
    what is not."""
    problems = input_problems(p.e)
    fetched = [
        f"{name} is no folder and not here yet: it would be fetched from the hub"
        for name in hub_names(p.e)
        if not isinstance(try_to_load_from_cache(name, "model_index.json"), str)
    ]
    if problems:
        raise ValueError("; ".join([*problems, *fetched]))
    return "; ".join(["all there", *fetched])


def hub_names(e: Experiment) -> list[str]:
    """The pretrained models that are named as the hub does."""
    if family_of(e).conditions != "captions":
        return []
    named = dict.fromkeys((e.base_vae.pretrained, e.base_dit.pretrained))
    return [name for name in named if name.count("/") == 1 and not Path(name).exists()]


def images_of(e: Experiment) -> np.ndarray:
    """Two uint8 images of noise."""
    side = e.data.resolution_px
    return np.random.default_rng(0).integers(0, 256, (2, 3, side, side), np.uint8)


def base_vae_of(p: Patient) -> Any:
    """The base VAE, as the run has it."""
    vae = build_base_vae(p.e.base_vae).to(p.runtime.device, memory_format=p.runtime.layout())
    return vae.eval().requires_grad_(False)


def davae_batch(p: Patient) -> str:
    """Encode an image, and a training step of the DA-VAE on it, its losses' networks among it."""
    e, images = p.e, images_of(p.e)
    vae = base_vae_of(p)
    small = base_images(images, e.data.scale, e.data.antialias, clamp=e.davae.clamp_base)
    with p.runtime.autocast():
        latents = encode_mode(vae, small.to(p.runtime.device)).float().cpu()
    config = DAVAEConfig.of_experiment(vae, e.davae, e.data.scale, e.data.antialias)
    model = DAVAE(**asdict(config))
    model.load_base(vae, e.davae.init_from_base)
    model = model.to(p.runtime.device, memory_format=p.runtime.layout())
    if p.runtime.checkpoint_activations or (p.fits and p.fits["davae"].recomputed):
        model.enable_gradient_checkpointing()
    pair = (torch.from_numpy(images), latents)
    loss = one_step(davae_task(model, *pair, pair, e.davae, e.seed), p, e.davae.gan_start_step)
    return f"latents {list(latents.shape[1:])}, loss {loss:.4g}"


def class_batch(p: Patient) -> str:
    """A training step of the widened network on a latent of noise."""
    e, family = p.e, family_of(p.e)
    channels, side = e.base_vae.latent_channels, e.latent_size
    if e.base_dit.pretrained:
        network: Any = family.load(e.base_dit.pretrained)
    else:
        network = family.network(e.base_dit, channels, side, CLASSES[e.data.name])
    adapt(network, e.davae.detail_channels)
    network = network.to(p.runtime.device)
    wide = e.davae.detail_channels
    denoiser = Denoiser(network, network, channels, wide, network.config.num_classes)
    return adaptation_step(p, denoiser, channels + wide)


def text_batch(p: Patient) -> str:
    """A training step of the widened pipeline on a latent of noise with a prompt, then two steps of
    sampling."""
    e = p.e
    pipe = pretrained_pipeline(p.runtime, e.base_dit)
    wide, channels = e.davae.detail_channels, pipe.vae.config.latent_channels
    adapt(pipe.transformer, wide)
    prepare_training(p.runtime, pipe.transformer, e.adapt, e.seed, e.base_dit.family)
    denoiser = prompted(pipe, e.base_dit.family, ["a lake", "a forest", ""], wide)
    said = adaptation_step(p, denoiser, channels + wide)
    short = replace(e.sample, num_inference_steps=2)
    noise = torch.zeros(1, channels + wide, e.latent_size, e.latent_size, device=p.runtime.device)
    with torch.no_grad(), p.runtime.autocast():
        velocity = FAMILIES[e.base_dit.family].guided(pipe, ["a lake"], short)
        sample_latents(velocity, noise, short)
    return f"{said}; two sampling steps"


def adaptation_step(p: Patient, denoiser: Denoiser, channels: int) -> str:
    """The loss of one step on latents of noise."""
    e, side = p.e, p.e.latent_size
    drawn = torch.randn(2, channels, side, side, generator=torch.Generator().manual_seed(0))
    task = transformer_task(
        "doctor", denoiser, LatentSet(drawn, torch.arange(2)), {}, flow=e.flow,
        dropout=e.base_dit.class_dropout, seed=e.seed, adapt=e.adapt,
    )  # fmt: skip
    return f"loss {one_step(task, p, e.adapt.detail_warmup_steps):.4g}"


def one_step(task: Task, p: Patient, n: int) -> float:
    """The loss of one sample at step n, its gradients taken; raises ValueError where it is not
    finite."""
    batch = tuple(part.to(p.runtime.device) for part in task.batch(0, [0]))
    with p.runtime.training():
        loss = task.step(n, batch)["loss"]
    loss.backward()
    value = loss.item()
    if not np.isfinite(value):
        raise ValueError(f"the first loss is {value}")
    return value


def judged(p: Patient) -> str:
    """Features of two images by every extractor."""
    found = []
    for spec in (*p.e.eval.judges, p.e.eval.probe):
        extractor = open_extractor(spec, Host(p.runtime.device))
        extract(extractor, ArrayImages("noise", images_of(p.e)), p.runtime.device)
        found.append(extractor.name)
    return ", ".join(found)
