"""`davae plan`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from davae.cli.guard import guard
from davae.cli.presets import preset_of
from davae.core.experiment import Experiment


@dataclass(frozen=True)
class PlanOptions:
    """Count a preset's networks on the meta device, without weights, and predict what it costs.

    Every field of the experiment can be overridden, as in `davae run`.
    """

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    sampling_mfu: float = 0.45
    """Assumed share of the GPU's dense bfloat16 peak in sampling (0 to 1)."""
    training_mfu: float = 0.35
    """Assumed share of the peak in training (0 to 1)."""


def parse(preset: str, default: Experiment, argv: list[str]) -> PlanOptions:
    """The options for one preset."""
    return tyro.cli(
        PlanOptions,
        prog=f"davae plan {preset}",
        args=argv,
        default=PlanOptions(experiment=default),
        config=(tyro.conf.FlagConversionOff,),
    )


def run(argv: list[str]) -> int:
    """Entry point."""
    summary = "Counts a preset's networks without their weights and predicts what it costs."
    preset, default, rest = preset_of("plan", argv, summary)
    options = parse(preset, default, rest)

    def action() -> None:
        from davae.plan.describe import Assumptions, describe

        print(
            describe(
                preset, options.experiment, Assumptions(options.sampling_mfu, options.training_mfu)
            )
        )

    return guard(action, "nothing was written")
