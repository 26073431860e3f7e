"""What a run needs that may not be there."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from davae.core.experiment import Experiment
from davae.features.lpips import lpips_weights
from davae.features.weights import MissingWeights
from davae.models.families.registry import family_of


def check_inputs(e: Experiment) -> None:
    """Raise ValueError that lists all that the experiment needs and is not there, before hours are
    spent."""
    problems = []
    for field, path, use in (
        (
            "data.path",
            e.data.path if e.data.name == "folder" else "",
            "a folder of images, one sub-folder a class",
        ),
        (
            "data.captions",
            e.data.captions,
            "a .csv, .tsv or .jsonl file with the columns file and caption",
        ),
    ):
        if path and not Path(path).exists():
            problems.append(f"{field} is {path!r}, which is not there: {use}")
    if family_of(e).conditions == "classes":
        for field, path in (
            ("base_vae", e.base_vae.pretrained),
            ("base_dit", e.base_dit.pretrained),
        ):
            if path and not Path(path).exists():
                origin = "the folder that `davae convert CHECKPOINT --out FOLDER` writes"
                problems.append(f"{field}.pretrained is {path!r}, which is not there: {origin}")
    if e.davae.lpips_weight:
        try:
            lpips_weights("vgg")
        except MissingWeights as error:
            problems.append(str(error))
    if e.adapt.lora_rank and find_spec("peft") is None:
        problems.append("LoRA needs peft: pip install 'davae[sd3]'")
    if problems:
        listed = "".join(f"\n  - {problem}" for problem in problems)
        raise ValueError(
            f"this run needs what is not there:{listed}\n`davae plan` shows what it would compute."
        )
