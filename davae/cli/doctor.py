"""`davae doctor`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from davae.cli.guard import guard
from davae.cli.presets import preset_of
from davae.core.experiment import Experiment
from davae.core.runtime import Runtime


@dataclass(frozen=True)
class DoctorOptions:
    """Look for what would stop `davae run PRESET` with the same options, in minutes: device, GPU
    memory, disk, weights, data, and the first batch of every kind of stage with one sample.

    Nothing is written. The exit code is 2 where something would stop the run."""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    runtime: Runtime = field(default_factory=Runtime)
    store: Path = Path("store")
    """Where the run would keep its stages."""


def run(argv: list[str]) -> int:
    """Entry point."""
    preset, default, rest = preset_of("doctor", argv, "Looks for what would stop a run.")
    options = tyro.cli(
        DoctorOptions, prog=f"davae doctor {preset}", args=rest,
        default=DoctorOptions(experiment=default), config=(tyro.conf.FlagConversionOff,),
    )  # fmt: skip

    def action() -> None:
        from davae.plan.doctor import Patient, examine

        failed = 0
        for found in examine(Patient(options.experiment, options.runtime, options.store)):
            failed += found.ok is False
            word = {True: "ok   ", False: "STOPS", None: "-    "}[found.ok]
            print(f"{word} {found.name} ({found.seconds:.1f} s): {found.text}", flush=True)
        if failed:
            raise ValueError(f"{failed} of these would stop the run")

    return guard(action, "nothing was written")
