"""`davae run`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from davae.cli.flags import switched_on
from davae.cli.guard import guard, say
from davae.cli.presets import preset_of
from davae.core.experiment import Experiment
from davae.core.runtime import Runtime

FLAGS = ("--brief", "--from-scratch")


@dataclass(frozen=True)
class RunOptions:
    """Run all stages of a preset and print its table.

    Every field of the experiment can be overridden. Finished stages are taken from the store and
    an interrupted one is resumed, so the same command goes on where it stopped.
    """

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    runtime: Runtime = field(default_factory=Runtime)
    methods: tuple[str, ...] = ()
    """What the method is compared with, entries of METHODS: base_upsampled and
    base_decoded (the base model as it is, enlarged or through the decoder without detail),
    control and control_decoded (the same, trained as many FLOPs longer), repeat (widened by
    channels that repeat z), or one that --extend FILE.py adds. Empty: the first four."""
    brief: bool = False
    """On scenes: print six rows and a sentence instead of the whole table."""
    from_scratch: bool = False
    """Leave the shipped models aside and train everything."""
    out: Path = Path("runs")
    """Where records, table and pictures go: OUT/PRESET/seedN."""
    store: Path = Path("store")
    """Where finished stages are kept."""


def parse(preset: str, default: Experiment, argv: list[str]) -> RunOptions:
    """The options of one preset; exits with help or a message as command lines do.

    The words of FLAGS stand alone, unlike the experiment's fields, which take a value."""
    words = switched_on(argv, FLAGS)
    return tyro.cli(
        RunOptions, prog=f"davae run {preset}", args=words, default=RunOptions(experiment=default),
        config=(tyro.conf.FlagConversionOff,),
    )  # fmt: skip


def run(argv: list[str]) -> int:
    """Entry point."""
    preset, default, rest = preset_of(
        "run", argv, "Runs all stages of a preset and prints its table."
    )
    options = parse(preset, default, rest)

    def action() -> None:
        from davae.run.brief import brief
        from davae.run.execute import run_experiment
        from davae.stages.stage import Pipeline

        if options.brief and options.experiment.data.name != "scenes":
            raise ValueError("--brief is for runs on scenes; leave it out")
        pipeline = Pipeline.at(options.store, options.runtime, say, options.from_scratch)
        result = run_experiment(options.experiment, preset, pipeline, options.out, options.methods)
        shown = result.table
        if options.brief:
            shown = brief(options.experiment, result.records)
        print(f"\n{shown}\nRecords, table and pictures: {result.folder}")
        print(f"Samples, for davae eval: {result.samples}")

    return guard(action)
