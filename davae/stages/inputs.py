"""What a run needs that may not be there."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path

from davae.core.data_config import FILES
from davae.core.experiment import EvalConfig, Experiment
from davae.data.captions import caption_table
from davae.features.convnext import convnext_weights
from davae.features.lpips import lpips_weights
from davae.features.registry import open_extractor
from davae.features.weights import MissingWeights
from davae.metrics.registry import chosen
from davae.models.families.registry import family_of


def judged_count(e: Experiment) -> int:
    """How many crops reconstructions are judged on, and samples."""
    return e.eval.count or e.data.eval_crops


def judging_problems(e: Experiment) -> list[str]:
    """What keeps the experiment's extractors and metrics from judging it, each in a sentence."""
    latent = [metric.name for metric in chosen(e.eval.metrics, "latents")]
    problems = [
        f"eval.metrics: {name} is of latents, which a run does not measure; the ablation "
        "latent_structure does"
        for name in latent
    ]
    if e.data.name != "scenes":
        problems += [
            f"eval.metrics: {metric.name} judges scenes, and data.name is {e.data.name!r}"
            for metric in chosen(e.eval.metrics, "scenes")
        ]
    for metric in chosen(e.eval.metrics, "pairs"):
        try:
            if metric.network is not None:
                metric.network()
        except MissingWeights as error:
            problems.append(str(error))
    features = chosen(e.eval.metrics, "features")
    least = max([metric.least for metric in features], default=0)
    count = judged_count(e)
    if count > e.data.eval_crops:
        problems.append(f"eval.count is {count} and data.eval_crops {e.data.eval_crops}")
    if count < least:
        problems.append(f"{count} crops are judged; eval.metrics need {least}")
    return problems + extractor_problems(e.eval, count)


def extractor_problems(judging: EvalConfig, count: int) -> list[str]:
    """What keeps the extractors from judging so many crops, each in a sentence."""
    problems: list[str] = []
    specs: dict[str, str] = {}
    for spec in judging.judges:
        try:
            extractor = open_extractor(spec)
        except ValueError as error:
            problems.append(f"the extractor {spec}: {error}")
            continue
        first = specs.setdefault(f"{extractor.name}-{extractor.dimensions}d", spec)
        if first != spec:
            problems.append(
                f"the extractors {first} and {spec} are one network at one depth: tables would "
                "have one name for both; leave one out"
            )
        if chosen(judging.metrics, "classes") and extractor.classify is None:
            problems.append(f"{spec} gives no class probabilities; leave out is")
        needed = 10 * extractor.dimensions
        if "fd" in judging.metrics and count < needed:
            problems.append(
                f"the Frechet distance on the {extractor.dimensions} features of {spec} needs "
                f"{needed} crops or more, not {count}; raise data.eval_crops, or leave out fd"
            )
    return problems


def adapter_problems(e: Experiment) -> list[str]:
    """What adapters of a class-conditional network cannot be trained with, each in a sentence."""
    if not e.adapt.lora_rank or family_of(e).conditions != "classes":
        return []
    problems = []
    if e.adapt.init == "scratch":
        problems.append("adapt.init 'scratch' has nothing pretrained to adapt; leave lora_rank 0")
    if e.adapt.train.snapshots or any(e.adapt.detail_lag):
        problems.append(
            "adapt.lora_rank: adapters are merged when training ends, so that there are no "
            "snapshots of it, and train no layer of the detail's own time; leave lora_rank 0"
        )
    return problems


def input_problems(e: Experiment) -> list[str]:
    """What the experiment needs and is not there, each in a sentence."""
    problems = adapter_problems(e)
    captions = e.data.captions if e.data.name == "folder" else ""  # of the hub it is a column
    for field, path, use in (
        (
            "data.path",
            e.data.path if e.data.name in FILES else "",
            "a folder of images, one sub-folder a class, or of .tar files",
        ),
        (
            "data.captions",
            captions,
            "a .csv, .tsv or .jsonl file with the columns file and caption",
        ),
    ):
        if path and not Path(path).exists():
            problems.append(f"{field} is {path!r}, which is not there: {use}")
    if captions and Path(captions).exists():
        try:
            caption_table(Path(captions))
        except ValueError as error:
            problems.append(f"data.captions: {error}")
    if family_of(e).conditions == "classes":
        for field, path in (
            ("base_vae", e.base_vae.pretrained),
            ("base_dit", e.base_dit.pretrained),
        ):
            if path and not Path(path).exists():
                origin = "the folder that `davae convert CHECKPOINT --out FOLDER` writes"
                problems.append(f"{field}.pretrained is {path!r}, which is not there: {origin}")
    problems += judging_problems(e)
    for weight, file in (
        (e.davae.lpips_weight, partial(lpips_weights, "vgg")),
        (e.davae.convnext_weight, convnext_weights),
    ):
        if weight:
            try:
                file()
            except MissingWeights as error:
                problems.append(str(error))
    if e.data.name == "hub" and find_spec("datasets") is None:
        problems.append("data.name 'hub' needs datasets: pip install 'davae[hub]'")
    if e.adapt.lora_rank and find_spec("peft") is None:
        problems.append("LoRA needs peft: pip install 'davae[sd3]'")
    return problems


def check_inputs(e: Experiment) -> None:
    """Raise ValueError that lists all that the experiment needs and is not there, before hours are
    spent."""
    problems = input_problems(e)
    if problems:
        listed = "".join(f"\n  - {problem}" for problem in problems)
        raise ValueError(
            f"this run needs what is not there:{listed}\n`davae plan` shows what it would compute."
        )
