"""METHODS: ways to get high-resolution images. A new one is an entry here, or `register` from a
file of your own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from davae.analysis.tables import RUN_ROWS
from davae.core.experiment import Experiment
from davae.models.families.registry import family_of
from davae.stages import samples, transformer
from davae.stages.stage import Stage

Stages = dict[str, Stage]


@dataclass(frozen=True)
class Method:
    """One way, and the row that its images make in every table."""

    name: str
    row: str
    """The row's name in records."""
    title: str
    """The row's title in tables."""
    stages: Callable[[Experiment, Stages], Stages]
    """(experiment, the stages so far: data, base models, DA-VAE and its latents) -> its own stages.
    `samples` is among them: a stage that leaves images.npy, uint8 [N, 3, H, W], and labels.npy
    (`davae.stages.samples`)."""


def _family_config(e: Experiment) -> dict[str, Any]:
    """The family, where it is not the one that stages of old keys stand for."""
    return {} if e.base_dit.family == "lightning" else {"family": e.base_dit.family}


def adaptation(e: Experiment, s: Stages) -> Stage:
    """The widened transformer, fine-tuned."""
    if family_of(e).conditions == "captions":
        roles = ("crops", "base_vae", "base_latents", "detail_latents", "davae", "captions")
        config = {"base_dit": e.base_dit, "seed": e.seed, "adapt_config": e.adapt, "flow": e.flow}
        upstream = {role: s[role] for role in roles}
        return Stage(
            "text_adapted",
            2,
            transformer.make_text_adapted,
            config,
            upstream,
            content=e.base_dit.pretrained,
        )
    roles = ("crops", "base_vae", "base_latents", "detail_latents", "base_dit")
    config = {
        "adapt": e.adapt,
        "flow": e.flow,
        "class_dropout": e.base_dit.class_dropout,
        "seed": e.seed,
    }
    return Stage(
        "adapted",
        1,
        transformer.make_adapted,
        {**config, **_family_config(e)},
        {r: s[r] for r in roles},
    )


def text_samples(e: Experiment, s: Stages, adapted: Stage | None) -> Stage:
    """Images of the held-out captions by the pipeline, adapted or as it is."""
    config = {
        "base_dit": e.base_dit,
        "seed": e.seed,
        "sample": e.sample,
        "side": e.data.resolution_px,
        "scale": e.data.scale,
    }
    upstream = {"crops": s["crops"], "captions": s["captions"]}
    if adapted is not None:
        upstream["adapted"] = adapted
    return Stage(
        "text_samples",
        2,
        samples.make_text_samples,
        config,
        upstream,
        content=e.base_dit.pretrained,
    )


def class_samples(
    e: Experiment, s: Stages, generator: Stage, *, wide: bool, zero_detail: bool = False
) -> Stage:
    """Images of the classes in turn: decoded by the DA-VAE where `wide`, by the base VAE and
    enlarged otherwise."""
    config = {"sample": e.sample, "count": e.data.eval_crops, "scale": e.data.scale, "seed": e.seed,
              "zero_detail": zero_detail, **_family_config(e)}  # fmt: skip
    upstream = {
        "base_vae": s["base_vae"],
        "dit": generator,
        **({"davae": s["davae"]} if wide else {}),
    }
    return Stage("samples", 1, samples.make_samples, config, upstream)


def davae(e: Experiment, s: Stages) -> Stages:
    """The method: widened, fine-tuned, decoded by the DA-VAE."""
    adapted = adaptation(e, s)
    if family_of(e).conditions == "captions":
        return {"adapted": adapted, "samples": text_samples(e, s, adapted)}
    untrained = e.adapt.train.steps == 0
    return {
        "adapted": adapted,
        "samples": class_samples(e, s, adapted, wide=True, zero_detail=untrained),
    }


def base_upsampled(e: Experiment, s: Stages) -> Stages:
    """The matched-token control: the base trained as many FLOPs longer, its images enlarged."""
    if family_of(e).conditions == "captions":
        raise ValueError(
            "base_upsampled trains the base model on classes; for captions use pretrained_upsampled"
        )
    adapted = adaptation(e, s)
    upstream = {role: s[role] for role in ("crops", "base_vae", "base_latents", "base_dit")} | {
        "adapted": adapted
    }
    config = {
        "adapt": e.adapt,
        "flow": e.flow,
        "class_dropout": e.base_dit.class_dropout,
        "seed": e.seed,
    }
    control = Stage(
        "control", 1, transformer.make_control, {**config, **_family_config(e)}, upstream
    )
    return {
        "adapted": adapted,
        "control": control,
        "samples": class_samples(e, s, control, wide=False),
    }


def pretrained_upsampled(e: Experiment, s: Stages) -> Stages:
    """The base model as it is, its images enlarged: the paper's row of text to image."""
    if family_of(e).conditions == "captions":
        return {"samples": text_samples(e, s, None)}
    return {"samples": class_samples(e, s, s["base_dit"], wide=False)}


METHODS: dict[str, Method] = {
    m.name: m
    for m in (
        Method("davae", "adapted", RUN_ROWS["adapted"], davae),
        Method("base_upsampled", "control", RUN_ROWS["control"], base_upsampled),
        Method(
            "pretrained_upsampled",
            "base_upsampled",
            RUN_ROWS["base_upsampled"],
            pretrained_upsampled,
        ),
    )
}


def register(method: Method) -> None:
    """Add a method; raises ValueError for a name or a row that is taken."""
    if method.name in METHODS or method.row in RUN_ROWS:
        raise ValueError(
            f"there is a method or row {method.name!r}, {method.row!r} already; give yours "
            "another name"
        )
    METHODS[method.name] = method
    RUN_ROWS[method.row] = method.title


def method_of(e: Experiment) -> Method:
    """The experiment's method; raises ValueError for an unknown one."""
    if e.method not in METHODS:
        raise ValueError(f"method is {e.method!r}; methods: {', '.join(METHODS)}")
    return METHODS[e.method]
