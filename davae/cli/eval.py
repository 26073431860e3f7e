"""`davae eval`."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from davae.cli.guard import guard, say
from davae.core.runtime import Runtime
from davae.evaluate.request import SETTINGS, EvalRequest


@dataclass(frozen=True)
class EvalOptions:
    """Score a set of images under a recorded protocol.

    Examples:
      davae eval samples --reference photos --metrics fd kd fd_inf prdc --samples 2000
      davae eval decoded --reference originals --metrics psnr ssim pd
      davae eval samples --captions captions.csv --metrics clip
      davae eval samples --reference VIRTUAL_imagenet512.npz --setting fid50k
      davae eval samples --reference mjhq30k --captions mjhq30k.csv --setting mjhq30k
      davae eval samples --reference photos --extend my_metrics.py --metrics mine

    --setting fid10k, fid50k or mjhq30k: the metrics, extractor and number of samples of the paper's
    figures, as defaults. Their weights are downloaded ones: what is missing is named."""

    request: Annotated[EvalRequest, tyro.conf.arg(name="")]
    runtime: Runtime = field(default_factory=Runtime)
    out: Path = Path("runs/eval")
    """A folder for record and table is made below it at every call."""
    store: Path = Path("store")
    """Where reference features and clip_tiny are kept."""


def parse(argv: list[str]) -> EvalOptions:
    """The options, their defaults those of `--setting NAME`, or `--setting=NAME`, where that is
    given."""
    rest: list[str] = []
    defaults: dict[str, Any] = {}
    words = iter(argv)
    for word in words:
        option, equals, name = word.partition("=")
        if option != "--setting":
            rest.append(word)
            continue
        name = name if equals else next(words, "")
        if name not in SETTINGS:
            raise ValueError(f"--setting is {name!r}; settings: {', '.join(SETTINGS)}")
        defaults = SETTINGS[name]
    default = EvalOptions(EvalRequest(images=tyro.MISSING, **defaults))
    return tyro.cli(
        EvalOptions,
        prog="davae eval",
        description=inspect.cleandoc(EvalOptions.__doc__ or ""),
        args=rest,
        default=default,
        config=(tyro.conf.FlagConversionOff,),
    )


def run(argv: list[str]) -> int:
    """Entry point."""

    def action() -> None:
        options = parse(argv)
        from davae.evaluate.execute import run_eval
        from davae.stages.stage import Pipeline

        pipeline = Pipeline.at(options.store, options.runtime, say)
        text, folder = run_eval(options.request, pipeline, options.out)
        print(f"\n{text}\nRecord and table: {folder}")

    return guard(action, "features finished so far are kept in the store")
