"""The hot paths beside the machine's own ceilings: what share of the float32 rate they reach."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from torch import nn

from davae.core.experiment import AdaptConfig, DetailConfig, FlowConfig, SampleConfig, TrainConfig
from davae.core.runtime import Runtime
from davae.core.store import LOG
from davae.measure.flops import count_flops
from davae.measure.roofline import convolution_rate, matmul_rate
from davae.measure.timing import block_seconds
from davae.models.davae import DAVAE, DAVAEConfig
from davae.models.dit import DiT, DiTConfig
from davae.models.families.lightning import guided
from davae.models.streamline import LEANER, streamline
from davae.stages.samples import sample_latents
from davae.train.davae import davae_task
from davae.train.loop import Task, Trainer
from davae.train.transformer import Denoiser, LatentSet, transformer_task

LIGHTNING_B1 = DiTConfig(
    in_channels=128, input_size=16, hidden_size=768, depth=12, num_heads=12, num_classes=1000
)
"""LightningDiT-B/1 on 256 tokens."""
TINY_DIT = DiTConfig(in_channels=16, detail_channels=12, num_classes=13)
"""The widened DiT of `tiny`."""
F32C128 = DAVAEConfig(
    latent_channels=128,
    detail_channels=96,
    block_out_channels=(128, 128, 256, 256, 512, 512),
    layers_per_block=2,
    level_attention=True,
    mid_attention=True,
)
"""The paper's DA-VAE over VA-VAE."""
TINY_VAE = DAVAEConfig()
"""The DA-VAE of `tiny`."""
BLOCK_SECONDS = 0.25
"""A timed block lasts at least this long: short runs are repeated within it."""


@dataclass(frozen=True)
class Share:
    """A path's rate beside a ceiling measured in the same rounds."""

    name: str
    flops: int
    """Of the network as it is defined."""
    executed: int
    """Those run: fewer where the same function is computed with fewer products."""
    seconds: float
    """Of one run, the median over rounds."""
    ceiling: float
    """FLOP/s, the median over rounds."""
    share: float
    """Median over rounds of the defined FLOPs a second over the round's ceiling."""

    def __str__(self) -> str:
        rate = self.flops / self.seconds / 1e9
        text = (
            f"{self.name:<42} {self.seconds:9.4f} s {rate:6.0f} of "
            f"{self.ceiling / 1e9:4.0f} GFLOP/s  {self.share:.2f}"
        )
        ran = self.executed / self.flops
        return (
            text
            if ran == 1
            else f"{text}  ({self.share * ran:.2f} by the {ran:.0%} of products run)"
        )


def share(
    name: str,
    run: Callable[[], object],
    ceiling: Callable[[], float],
    model: nn.Module,
    rounds: int,
    flops: int = 0,
) -> Share:
    """Time `run` in `rounds`, each between its own two measurements of the ceiling (the mean of
    them counts).

    flops: of `run`, where they cannot be counted on it (compiled).
    """
    run()
    executed = flops or count_flops(run)[0]
    flops = flops or defined_flops(model, run)
    repeats = max(1, round(BLOCK_SECONDS / block_seconds(run, 1)))
    times, ceilings = [], [ceiling()]
    for _ in range(rounds):
        times.append(block_seconds(run, repeats))
        ceilings.append(ceiling())
    around = [(before + after) / 2 for before, after in pairwise(ceilings)]
    shares = [flops / seconds / rate for seconds, rate in zip(times, around, strict=True)]
    return Share(
        name,
        flops,
        executed,
        statistics.median(times),
        statistics.median(ceilings),
        statistics.median(shares),
    )


def defined_flops(model: nn.Module, run: Callable[[], object]) -> int:
    """FLOPs of `run` with diffusers' own blocks in place of the leaner ones."""
    plain = {leaner: original for original, leaner in LEANER.items()}
    for module in model.modules():
        if type(module) in plain:
            module.__class__ = plain[type(module)]
    flops = count_flops(run)[0]
    streamline(model)
    return flops


def random_dit(config: DiTConfig) -> DiT:
    """A DiT none of whose parameters are 0, so that nothing is computed on zeros."""
    torch.manual_seed(0)
    dit = DiT(**asdict(config))
    for parameter in dit.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.02)
    return dit


def dit_trainer(dit: DiT, batch: int, folder: Path, runtime: Runtime | None = None) -> Trainer:
    """The training of a DiT on random latents, as the pipeline does it, with EMA."""
    c = dit.config
    latents = torch.randn(4 * batch, c.in_channels, c.input_size, c.input_size)
    data = LatentSet(latents, torch.zeros(4 * batch).long())
    adapt = AdaptConfig() if c.detail_channels else None
    base = c.in_channels - c.detail_channels
    denoiser = Denoiser(dit, dit, base, c.detail_channels, c.num_classes)
    task = transformer_task(
        "adaptation", denoiser, data, {}, flow=FlowConfig(), dropout=0.1, seed=0, adapt=adapt
    )
    train = TrainConfig(batch_size=batch, ema_decay=0.999)
    return Trainer(task, train, runtime or Runtime(), folder)


def davae_trainer(model: DAVAE, batch: int, px: int, folder: Path) -> Trainer:
    """The training of a DA-VAE on random images, as the pipeline does it."""
    images = torch.randint(0, 256, (2 * batch, 3, px, px), dtype=torch.uint8)
    side = px // 2 ** (len(model.config.block_out_channels) - 1)
    latents = torch.randn(2 * batch, model.base_channels, side, side)
    task: Task = davae_task(model, images, latents, (images, latents), DetailConfig(), 0)
    return Trainer(task, TrainConfig(batch_size=batch), Runtime(), folder)


def transformer_shares() -> Iterator[Share]:
    """Forward and training step of LightningDiT-B/1 (256 tokens, batch 8); training step of
    `tiny`'s DiT."""
    with tempfile.TemporaryDirectory() as folder:
        dit = random_dit(LIGHTNING_B1)
        x, t, y = torch.randn(8, 128, 16, 16), torch.rand(8), torch.arange(8)
        forward = torch.no_grad()(lambda: dit(x, t, y))
        yield share("LightningDiT-B/1 forward", forward, matmul_rate, dit, 5)
        step = dit_trainer(dit, 8, Path(folder)).step
        yield share("LightningDiT-B/1 training step", step, matmul_rate, dit, 4)
        dit = random_dit(TINY_DIT)
        yield share(
            "tiny DiT training step", dit_trainer(dit, 24, Path(folder)).step, matmul_rate, dit, 9
        )
        trainer = dit_trainer(dit, 24, Path(folder))
        flops = count_flops(trainer.step)[0]
        dit.velocity = Runtime(compile=True).compiled(dit.velocity)  # type: ignore[method-assign]
        yield share("tiny DiT training step, compiled", trainer.step, matmul_rate, dit, 9, flops)


def autoencoder_shares() -> Iterator[Share]:
    """Encode, decode and training step of DA-VAE f32c128 (256 px, batch 2) and of `tiny`'s (64 px,
    batch 8)."""
    with tempfile.TemporaryDirectory() as folder:
        for name, config, batch, px, rounds in (
            ("f32c128", F32C128, 2, 256, 4),
            ("tiny", TINY_VAE, 8, 64, 9),
        ):
            torch.manual_seed(0)
            model = DAVAE(**asdict(config)).to(memory_format=torch.channels_last)
            x = torch.rand(batch, 3, px, px) * 2 - 1
            with torch.no_grad():
                z = model.encode(x).latent_dist.mean
            encode = torch.no_grad()(lambda model=model, x=x: model.encode(x).latent_dist.mean)
            decode = torch.no_grad()(lambda model=model, z=z: model.decode(z).sample)
            yield share(f"DA-VAE {name} encode", encode, convolution_rate, model, rounds)
            yield share(f"DA-VAE {name} decode", decode, convolution_rate, model, rounds)
            step = davae_trainer(model, batch, px, Path(folder)).step
            yield share(f"DA-VAE {name} training step", step, convolution_rate, model, rounds)


@dataclass(frozen=True)
class StepParts:
    """Seconds of the parts of `tiny`'s adaptation step, medians."""

    step: float
    bookkeeping: float
    """Optimizer, EMA and log."""
    drawing: float
    """Drawing the batch."""


def step_parts(rounds: int = 40) -> StepParts:
    """The step of `tiny`'s adaptation, and what of it is not the network."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = dit_trainer(random_dit(TINY_DIT), 24, Path(folder))
        steps, bookkeeping, drawing = [], [], []
        with (Path(folder) / LOG).open("a") as log:
            for n in range(rounds + 3):
                steps.append(block_seconds(trainer.step, 1))
                terms = trainer.task.step(n, trainer.batches.of(n))
                terms["loss"].backward()
                line = {"step": n, **{k: v.item() for k, v in terms.items()}}

                def book(line: dict = line, log: object = log) -> None:
                    trainer.update()
                    trainer.write(log, None, line)

                bookkeeping.append(block_seconds(book, 1))
                drawing.append(block_seconds(partial(trainer.draw, n), 1))
        return StepParts(*(statistics.median(part[3:]) for part in (steps, bookkeeping, drawing)))


def sampling_share(rounds: int = 5) -> float:
    """FLOP/s of guided sampling at `tiny` (batch 39, both halves in one) over those of its forward
    of 78."""
    dit = random_dit(TINY_DIT).eval()
    x, t, y = torch.randn(78, 16, 8, 8), torch.rand(78), torch.arange(78) % 13
    forward = torch.no_grad()(lambda: dit(x, t, y))
    config = SampleConfig(num_inference_steps=4)
    velocity = guided(dit, y[:39], config)
    sampling = torch.no_grad()(lambda: sample_latents(velocity, x[:39], config))
    for run in (forward, sampling):
        run()
    ratio = count_flops(sampling)[0] / count_flops(forward)[0]
    pairs = [(block_seconds(forward, 4), block_seconds(sampling, 1)) for _ in range(rounds)]
    return statistics.median(ratio * one / whole for one, whole in pairs)
