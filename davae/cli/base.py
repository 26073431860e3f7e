"""`davae base`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from davae.cli.guard import guard, say
from davae.cli.presets import preset_of
from davae.core.runtime import Runtime

SUMMARY = "Trains the models that the repository ships: autoencoders, and a base DiT a base seed."


@dataclass(frozen=True)
class BaseOptions:
    """Train the base VAE, the DA-VAE, the decoder without detail and the base DiTs of a preset.

    Stages that are finished are not run again; an interrupted one goes on where it stopped."""

    base_seeds: tuple[int, ...] = (0, 1)
    """A base DiT for each."""
    runtime: Runtime = field(default_factory=Runtime)
    store: Path = Path("store")
    """Where stages are kept while they are made."""
    to: Path = Path("results/cpu-2core/store")
    """Where finished models are copied, to be committed; nothing there is overwritten."""


def parse(preset: str, argv: list[str]) -> BaseOptions:
    """The options."""
    return tyro.cli(BaseOptions, prog=f"davae base {preset}", args=argv)


def run(argv: list[str]) -> int:
    """Entry point."""
    preset, experiment, rest = preset_of("base", argv, SUMMARY)
    options = parse(preset, rest)

    def action() -> None:
        from davae.run.base import make_base
        from davae.stages.stage import Pipeline

        pipeline = Pipeline.at(options.store, options.runtime, say)
        print(f"Models: {make_base(experiment, options.base_seeds, pipeline, options.to)}")

    return guard(action)
