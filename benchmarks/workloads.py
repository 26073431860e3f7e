"""What the scenarios run: networks of the presets' shapes, with random weights."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.scenarios import Scenario
from benchmarks.speed import dit_trainer
from davae.core.experiment import Experiment
from davae.core.presets import PRESETS
from davae.core.runtime import Runtime
from davae.models.adapt import adapt
from davae.models.davae import DAVAE
from davae.models.dit import DiT
from davae.models.families.registry import family_of
from davae.plan.count import architecture, base_vae, davae_config, first, native_dit
from davae.stages.samples import sample_latents

SPREAD = 0.02
"""Standard deviation of random weights: nothing is computed on zeros, and nothing overflows."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def weights_dtype(s: Scenario) -> torch.dtype:
    """Of weights and inputs: the scenario's for a pretrained pipeline's networks; float32 for
    those that are trained here, whose products alone are cast (torch.autocast)."""
    captions = family_of(PRESETS[s.preset]).conditions == "captions"
    return DTYPES[s.dtype] if captions else torch.float32


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


def materialised(build: Callable[[], nn.Module], device: str, dtype: torch.dtype) -> Any:
    """The network that `build` describes, on the device, every weight drawn from N(0, SPREAD^2).

    Made on `meta`, for initialising billions of weights takes minutes; integer buffers, which that
    would lose, are an error."""
    with torch.device("meta"):
        network = build()
    network = network.to_empty(device=device).to(dtype)
    generator = torch.Generator(device).manual_seed(0)
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        assert tensor.is_floating_point(), f"{name} holds integers"
        with torch.no_grad():
            tensor.normal_(0.0, SPREAD, generator=generator)
    return network.eval()


def random_like(tensors: dict[str, torch.Tensor], device: str, dtype: torch.dtype) -> dict:
    """Numbers in the place of a forward's arguments on `meta`: floats of N(0, 1), integers 0."""
    generator = torch.Generator(device).manual_seed(1)
    return {
        name: torch.randn(t.shape, generator=generator, device=device, dtype=dtype)
        if t.is_floating_point()
        else torch.zeros(t.shape, device=device, dtype=t.dtype)
        for name, t in tensors.items()
    }


def experiment_of(s: Scenario) -> Experiment:
    """The preset at the scenario's resolution."""
    e = PRESETS[s.preset]
    return replace(e, data=replace(e.data, resolution_px=s.resolution_px)) if s.resolution_px else e


def grid(e: Experiment, s: Scenario) -> tuple[int, int]:
    """(channels, side) of the latent that the scenario's transformer sees."""
    config = davae_config(e)
    if s.form == "native":
        return config.base_channels, e.latent_size * e.data.scale
    return config.latent_channels, e.latent_size


def transformer(e: Experiment, s: Scenario, device: str) -> Any:
    """The scenario's transformer: the preset's at the full resolution, or widened."""
    _, side = grid(e, s)

    def build() -> nn.Module:
        network: Any = architecture(e).build()
        if s.form == "widened":
            adapt(network, e.davae.detail_channels)
        elif isinstance(network, DiT):
            network = native_dit(network, side)
        return network

    return materialised(build, device, weights_dtype(s))


def autoencoder(e: Experiment, s: Scenario, device: str) -> Any:
    """The base VAE, or the DA-VAE, as they are initialised."""
    torch.manual_seed(0)
    network = base_vae(e) if s.form == "native" else DAVAE(**asdict(davae_config(e)))
    return network.to(device, weights_dtype(s)).eval()


def parameters(*networks: nn.Module) -> int:
    """The number of their parameters."""
    return sum(p.numel() for network in networks for p in network.parameters())


def denoise(s: Scenario, device: str) -> Workload:
    """One forward of the transformer."""
    e = experiment_of(s)
    channels, side = grid(e, s)
    arch, patch = architecture(e), family_of(e).patch_size or e.base_dit.patch_size
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
    )


def decode(s: Scenario, device: str) -> Workload:
    """Latents to images."""
    e = experiment_of(s)
    channels, side = grid(e, s)
    network = autoencoder(e, s, device).to(memory_format=torch.channels_last)
    z = torch.randn(s.batch, channels, side, side, device=device, dtype=weights_dtype(s))
    used = [network.decoder, *([network.detail_up] if s.form == "widened" else [])]
    return Workload(
        run=lambda: network.decode(z).sample,
        images=s.batch,
        params=parameters(*used),
        tokens=0,
        channels=channels,
        resolution_px=e.data.resolution_px,
        networks=(network.decoder,),
    )


def encode(s: Scenario, device: str) -> Workload:
    """Images to latents, base and detail."""
    e = experiment_of(s)
    network = autoencoder(e, s, device).to(memory_format=torch.channels_last)
    px = e.data.resolution_px
    images = torch.rand(s.batch, 3, px, px, device=device, dtype=weights_dtype(s))
    encoders = (
        (network.encoder,) if s.form == "native" else (network.base_encoder, network.detail_encoder)
    )
    return Workload(
        run=lambda: network.encode(images).latent_dist.mode(),
        images=s.batch,
        params=parameters(*encoders),
        tokens=0,
        channels=grid(e, s)[0],
        resolution_px=px,
        networks=encoders,
    )


def sample(s: Scenario, device: str) -> Workload:
    """Noise to images: every step with guidance, then the decoder."""
    e = experiment_of(s)
    channels, side = grid(e, s)
    network, vae = transformer(e, s, device), autoencoder(e, s, device)
    vae = vae.to(memory_format=torch.channels_last)
    noise = torch.randn(s.batch, channels, side, side, device=device, dtype=weights_dtype(s))
    labels = torch.zeros(s.batch, dtype=torch.long, device=device)

    def run() -> torch.Tensor:
        velocity = family_of(e).guided(network, labels, e.sample)
        return vae.decode(sample_latents(velocity, noise, e.sample)).sample

    steps = e.sample.num_inference_steps
    patch = e.base_dit.patch_size
    return Workload(
        run=run,
        images=s.batch,
        params=parameters(network, vae),
        tokens=(side // patch) ** 2,
        channels=channels,
        resolution_px=e.data.resolution_px,
        networks=(network, vae.decoder),
        steps=steps,
        cfg_forwards=steps * architecture(e).forwards_a_step,
    )


def train(s: Scenario, device: str) -> Workload:
    """One step of the transformer's training, EMA and optimizer included, on random latents."""
    e = experiment_of(s)
    channels, side = grid(e, s)
    network = transformer(e, s, device)
    folder = Path(tempfile.mkdtemp(prefix="davae_bench"))
    trainer = dit_trainer(network, s.batch, folder, Runtime(device=device))
    return Workload(
        run=trainer.step,
        images=s.batch,
        params=parameters(network),
        tokens=(side // e.base_dit.patch_size) ** 2,
        channels=channels,
        resolution_px=e.data.resolution_px,
        networks=(network,),
    )


STAGES: dict[str, Callable[[Scenario, str], Workload]] = {
    "denoise": denoise,
    "sample": sample,
    "encode": encode,
    "decode": decode,
    "train": train,
}


def workload(s: Scenario, device: str = "cpu") -> Workload:
    """The scenario's workload, compiled as it says."""
    built = STAGES[s.stage](s, device)
    for network in built.networks:
        compile_network(network, s.compile)
    if weights_dtype(s) != DTYPES[s.dtype]:
        plain, runtime = built.run, Runtime(device=device, dtype=s.dtype)

        def run() -> Any:
            with runtime.autocast():
                return plain()

        built.run = run
    return built


def compile_network(network: nn.Module, how: str) -> None:
    """Compile a network as a whole, or every entry of its longest ModuleList by itself."""
    if how == "off":
        return
    if how == "whole" and isinstance(network, DiT):  # the sampler calls `velocity`
        network.velocity = torch.compile(network.velocity)  # type: ignore[method-assign]
        return
    if how == "whole":
        network.compile()
        return
    lists = [module for module in network.modules() if isinstance(module, nn.ModuleList)]
    for block in max(lists, key=len):
        block.compile()
