"""The options of `davae run` and `davae eval`, as dataclasses for tyro."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from davae.config import Experiment
from davae.request import SETTINGS, EvalRequest
from davae.runtime import Runtime


@dataclass(frozen=True)
class RunOptions:
    """Run all stages of a preset and print its table.

    Every field of the experiment can be overridden. Finished stages are taken from the store and
    an interrupted one is resumed, so the same command goes on where it stopped.
    """

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    runtime: Runtime = field(default_factory=Runtime)
    out: Path = Path("runs")
    """Where records, table and pictures go: OUT/PRESET/seedN."""
    store: Path = Path("store")
    """Where finished stages are kept."""


def parse_run(preset: str, default: Experiment, argv: list[str]) -> RunOptions:
    """The options of one preset; exits with help or a message as command lines do."""
    return tyro.cli(
        RunOptions, prog=f"davae run {preset}", args=argv, default=RunOptions(experiment=default),
        config=(tyro.conf.FlagConversionOff,),
    )  # fmt: skip


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


def parse_plan(preset: str, default: Experiment, argv: list[str]) -> PlanOptions:
    """The options of `davae plan` for one preset."""
    return tyro.cli(
        PlanOptions, prog=f"davae plan {preset}", args=argv, default=PlanOptions(experiment=default),
        config=(tyro.conf.FlagConversionOff,),
    )  # fmt: skip


@dataclass(frozen=True)
class EvalOptions:
    """Score a set of images under a recorded protocol.

    Examples:
      davae eval samples --reference photos --metrics fd kd fd_inf prdc --samples 2000
      davae eval decoded --reference originals --metrics psnr ssim pd
      davae eval samples --captions captions.csv --metrics clip
      davae eval samples --reference VIRTUAL_imagenet512.npz --setting fid50k
      davae eval samples --reference mjhq30k --captions mjhq30k.csv --setting mjhq30k

    --setting fid10k, fid50k or mjhq30k: the metrics, extractor and number of samples of the paper's figures, as
    defaults. Their weights are downloaded ones: what is missing is named.
    """

    request: Annotated[EvalRequest, tyro.conf.arg(name="")]
    runtime: Runtime = field(default_factory=Runtime)
    out: Path = Path("runs/eval")
    """A folder for record and table is made below it at every call."""
    store: Path = Path("store")
    """Where reference features and clip_tiny are kept."""


def parse_eval(argv: list[str]) -> EvalOptions:
    """The options of `davae eval`, their defaults those of `--setting NAME` where that is given first or last."""
    argv, chosen = list(argv), {}
    if "--setting" in argv:
        at = argv.index("--setting")
        name = argv[at + 1] if at + 1 < len(argv) else ""
        if name not in SETTINGS:
            raise ValueError(f"--setting is {name!r}; settings: {', '.join(SETTINGS)}")
        chosen = SETTINGS[name]
        del argv[at : at + 2]
    default = EvalOptions(EvalRequest(images=tyro.MISSING, **chosen))
    return tyro.cli(EvalOptions, prog="davae eval", args=argv, default=default, config=(tyro.conf.FlagConversionOff,))
