"""`davae geneval`."""

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
class GenevalOptions:
    """Images of an adapted pipeline for GenEval's public scorer.

    Example:
      davae geneval sd35m_1k --metadata evaluation_metadata.jsonl --runtime.device cuda \\
        --base-dit.pretrained sd35m --adapted store/text_adapted/KEY/model --out geneval"""

    experiment: Annotated[Experiment, tyro.conf.arg(name="")]
    metadata: Path
    """GenEval's evaluation_metadata.jsonl: a prompt and what it should show, a line each."""
    adapted: Path
    """The folder that a run's adaptation left (adapted.safetensors and davae/)."""
    runtime: Runtime = field(default_factory=Runtime)
    images: int = 4
    """A prompt."""
    out: Path = Path("runs/geneval")
    """Gets 00000/metadata.jsonl, 00000/samples/00000.png and so on."""


def run(argv: list[str]) -> int:
    """Entry point."""
    summary = "Writes images of prompts in the layout that GenEval's scorer reads."
    preset, default, rest = preset_of("geneval", argv, summary)
    options = tyro.cli(
        GenevalOptions, prog=f"davae geneval {preset}", args=rest,
        default=GenevalOptions(default, tyro.MISSING, tyro.MISSING),
        config=(tyro.conf.FlagConversionOff,),
    )  # fmt: skip

    def action() -> None:
        from davae.evaluate.geneval import export

        options.runtime.apply()
        folder = export(
            options.experiment, options.adapted, options.metadata, options.out, options.runtime,
            options.images,
        )  # fmt: skip
        print(f"For GenEval's scorer: {folder}")

    return guard(action)
