"""`davae plan`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from davae.cli.guard import guard
from davae.cli.presets import preset_of
from davae.core.experiment import Experiment
from davae.plan.shares import Shares


@dataclass(frozen=True)
class Asked:
    """Settings of a run that are planned with."""

    micro_batch: int = 0
    """Samples that a training step takes at once; 0: as many as fit."""
    images_at_once: int = 0
    """Images that are encoded, sampled or decoded at once; 0: as many as fit."""
    checkpoint_activations: bool = False
    """Recompute activations wherever that is possible."""
    ema_on_host: bool = False
    """Keep the average of the weights in the host's memory."""


@dataclass(frozen=True)
class PlanOptions:
    """Count a preset's networks on the meta device, without weights, and predict what it costs.

    Every field of the experiment can be overridden, as in `davae run`.
    """

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    share: Shares = field(default_factory=Shares)
    """What is reached of the GPU's dense bfloat16 peak, between 0 and 1; 0: as it was measured or,
    for an A100, published."""
    gpu: Literal["a100", "h100", "h200"] = "h100"
    """What every stage is planned on, alone; a stage that does not fit is refused."""
    gpu_gib: float = 0.0
    """Memory of that GPU, where it is not the usual 79, 78 or 139 GiB."""
    runtime: Asked = field(default_factory=Asked)
    table: Path | None = None
    """A .csv file that the table of stages is written to as well."""


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
        from davae.core.runtime import Runtime
        from davae.plan.describe import Gpu, describe

        asked = Runtime("cuda", **vars(options.runtime))
        gpu = Gpu(options.gpu, options.gpu_gib, asked)
        print(describe(preset, options.experiment, options.share, gpu, options.table))

    return guard(action, "nothing more was written")
