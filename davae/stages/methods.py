"""METHODS: ways to get high-resolution images. A new one is an entry here, or `register` from a
file of your own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from davae.analysis.tables import RUN_ROWS
from davae.core.experiment import BaseVAEConfig, DetailConfig, Experiment, TrainConfig
from davae.models.families.registry import family_of
from davae.stages import alternatives, autoencoder, prompts, samples, text, transformer
from davae.stages.stage import Stage

Stages = dict[str, Stage]
NATIVE_VAE_PART = 4
"""The VAE of the native model is trained on, from the base VAE's weights, for the steps of the
DA-VAE divided by this. The logs of those that are shipped end at 33.5 dB and, of the DA-VAE, at
35.4, on held-out photographs and scenes."""


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


def training_config(e: Experiment) -> dict[str, Any]:
    """What the adaptation, and whatever is trained beside it, reads."""
    return {
        "adapt": e.adapt,
        "flow": e.flow,
        "class_dropout": e.base_dit.class_dropout,
        "seed": e.seed,
    }


def adaptation(e: Experiment, s: Stages) -> Stage:
    """The widened transformer, fine-tuned."""
    if family_of(e).conditions == "captions":
        roles = ("crops", "base_vae", "base_latents", "detail_latents", "davae", "captions")
        upstream = {role: s[role] for role in roles} | stored_prompts(e, s)
        return Stage(
            "text_adapted",
            2,
            text.make_text_adapted,
            text_config(e),
            upstream,
            content=e.base_dit.pretrained,
        )
    roles = ("crops", "base_vae", "base_latents", "detail_latents", "base_dit")
    config = training_config(e)
    return Stage(
        "adapted",
        1,
        transformer.make_adapted,
        {**config, **_family_config(e)},
        {r: s[r] for r in roles},
    )


def text_config(e: Experiment) -> dict[str, Any]:
    """What the trainings of a pipeline's transformer read."""
    return {"base_dit": e.base_dit, "seed": e.seed, "adapt_config": e.adapt, "flow": e.flow}


def stored_prompts(e: Experiment, s: Stages) -> Stages:
    """The prompts, where they are stored."""
    if not e.adapt.stored_prompts:
        return {}
    config, upstream = {"base_dit": e.base_dit}, {"captions": s["captions"]}
    made, content = prompts.make_prompts, e.base_dit.pretrained
    return {"prompts": Stage("prompts", 1, made, config, upstream, content=content)}


def noise_seed(e: Experiment) -> int:
    """The seed of the samples' noise."""
    return e.seed if e.sample_seed is None else e.sample_seed


def text_samples(e: Experiment, s: Stages, **trained: Stage) -> Stage:
    """Images of the held-out captions by the pipeline, `adapted`, `tuned` or as it is."""
    config: dict[str, Any] = {
        "base_dit": e.base_dit,
        "seed": noise_seed(e),
        "sample": e.sample,
        "side": e.data.resolution_px,
        "scale": e.data.scale,
    }
    if "tuned" in trained:
        config["lora_rank"] = e.adapt.lora_rank
    upstream = {"crops": s["crops"], "captions": s["captions"], **trained}
    return Stage(
        "text_samples",
        2,
        samples.make_text_samples,
        config,
        upstream,
        content=e.base_dit.pretrained,
    )


def sampled(e: Experiment, generator: Stage) -> Stage:
    """Latents of the classes in turn."""
    config = {
        "sample": e.sample,
        "count": e.eval.count or e.data.eval_crops,
        "seed": noise_seed(e),
        **_family_config(e),
        **({"snapshot": e.snapshot_step} if e.snapshot_step else {}),
    }
    return Stage("sampled", 1, samples.make_sampled, config, {"dit": generator})


def class_samples(
    e: Experiment, s: Stages, generator: Stage, decoder: Stage | None, *, zero_detail: bool = False
) -> Stages:
    """The latents and the images of a generator, decoded by `decoder`, or by the base VAE and
    enlarged."""
    config = {"scale": e.data.scale, "batch": e.sample.batch_size, "zero_detail": zero_detail}
    latents = sampled(e, generator)
    upstream = {"base_vae": s["base_vae"], "sampled": latents}
    if decoder is not None:
        upstream["davae"] = decoder
    return {
        "sampled": latents,
        "samples": Stage("samples", 2, samples.make_samples, config, upstream),
    }


def davae(e: Experiment, s: Stages) -> Stages:
    """The method: widened, fine-tuned, decoded by the DA-VAE."""
    adapted = adaptation(e, s)
    if family_of(e).conditions == "captions":
        images = text_samples(e, s, adapted=adapted)
        return {**stored_prompts(e, s), "adapted": adapted, "samples": images}
    untrained = e.adapt.train.steps == 0
    decoded = class_samples(e, s, adapted, s["davae"], zero_detail=untrained)
    return {"adapted": adapted, **decoded}


def longer(e: Experiment, s: Stages) -> Stages:
    """The base trained as many FLOPs longer as the adaptation takes."""
    classes_only(e, "trains the base model on classes")
    upstream = {role: s[role] for role in ("crops", "base_vae", "base_latents", "base_dit")}
    config = {**matched_config(e), **_family_config(e)}
    made = transformer.make_control
    return {"control": Stage("control", plain_version(e), made, config, upstream)}


def matched_config(e: Experiment) -> dict[str, Any]:
    """What a training for the adaptation's FLOPs reads."""
    return {**training_config(e), "detail_channels": e.davae.detail_channels}


def plain_version(e: Experiment) -> int:
    """Of the stages that train a network without detail: their loss has the adaptation's further
    terms from the second on."""
    return 1 if transformer.further_terms(e.adapt) is None else 2


def classes_only(e: Experiment, why: str) -> None:
    """Raise ValueError for families on captions."""
    if family_of(e).conditions == "captions":
        raise ValueError(
            f"{e.method} {why}; for the family {e.base_dit.family!r} use base_upsampled"
        )


def control(e: Experiment, s: Stages) -> Stages:
    """The matched-token control: the base trained longer, its images enlarged."""
    stages = longer(e, s)
    return {**stages, **class_samples(e, s, stages["control"], None)}


def control_decoded(e: Experiment, s: Stages) -> Stages:
    """The same latents through the decoder without detail, trained as long as the DA-VAE."""
    stages = longer(e, s)
    return {**stages, **class_samples(e, s, stages["control"], s["no_detail_decoder"])}


def base_upsampled(e: Experiment, s: Stages) -> Stages:
    """The base model as it is, its images enlarged: the paper's row of text to image."""
    if family_of(e).conditions == "captions":
        return {"samples": text_samples(e, s)}
    return class_samples(e, s, s["base_dit"], None)


def tuned(e: Experiment, s: Stages) -> Stages:
    """The pipeline's transformer tuned by adapters at the base resolution for the adaptation's
    steps, its images enlarged."""
    if family_of(e).conditions != "captions":
        raise ValueError(
            f"tuned is for text to image; for the family {e.base_dit.family!r} use control"
        )
    roles = ("crops", "base_vae", "base_latents", "captions")
    upstream = {role: s[role] for role in roles} | stored_prompts(e, s)
    content = e.base_dit.pretrained
    trained = Stage(
        "text_tuned",
        plain_version(e) + 2 * bool(e.adapt.train_crops),  # it drew on all crops
        text.make_text_tuned,
        text_config(e),
        upstream,
        content=content,
    )
    return {"tuned": trained, "samples": text_samples(e, s, tuned=trained)}


def base_decoded(e: Experiment, s: Stages) -> Stages:
    """The same latents through the decoder without detail."""
    classes_only(e, "decodes the samples of a model on classes")
    return class_samples(e, s, s["base_dit"], s["no_detail_decoder"])


def repeated(e: Experiment, s: Stages) -> Stages:
    """Redundancy alone: widened by channels that repeat z, its base channels through the decoder
    without detail."""
    classes_only(e, "widens a model on classes")
    config = {"detail_channels": e.davae.detail_channels, **encoded_crops(e)}
    detail = Stage(
        "repeated_latents",
        1,
        autoencoder.make_repeated_latents,
        config,
        {"base_latents": s["base_latents"]},
    )
    adapted = adaptation(e, {**s, "detail_latents": detail})
    return {
        "repeated_latents": detail,
        "repeated": adapted,
        **class_samples(e, s, adapted, s["no_detail_decoder"]),
    }


def with_losses_of(
    davae: DetailConfig, base_vae: BaseVAEConfig, train: TrainConfig
) -> BaseVAEConfig:
    """An autoencoder beside the DA-VAE, with its weights of squared error and Haar detail."""
    return replace(base_vae, l2_weight=davae.l2_weight, haar_weight=davae.haar_weight, train=train)


def encoded_crops(e: Experiment) -> dict[str, int]:
    """How many crops the latents of an adaptation are made of, where not of all."""
    asked = {"train_crops": e.adapt.train_crops, "check_crops": e.adapt.check_crops}
    return {name: count for name, count in asked.items() if count}


def native_vae(e: Experiment, s: Stages) -> Stage:
    """The base VAE trained on at the full resolution; one that was pretrained as it is."""
    if e.base_vae.pretrained:
        return s["base_vae"]
    steps = max(1, e.davae.train.steps // NATIVE_VAE_PART)
    vae = with_losses_of(e.davae, e.base_vae, replace(e.davae.train, steps=steps))
    upstream = {"crops": s["pool" if e.autoencoder_data else "crops"], "base_vae": s["base_vae"]}
    config = {"base_vae": vae, "seed": e.data_seed}
    return Stage("native_vae", 1, autoencoder.make_native_vae, config, upstream)


def native(e: Experiment, s: Stages) -> Stages:
    """The base model at the full resolution, s^2 times the tokens, fine-tuned for as many FLOPs as
    the adaptation takes, on latents of a VAE that knows that resolution."""
    classes_only(e, "trains the base model on classes")
    some = encoded_crops(e)
    vae = native_vae(e, s)
    at_vae = {"crops": s["crops"], "base_vae": vae}
    latents = Stage("native_latents", 1, alternatives.make_native_latents, some, at_vae)
    upstream = {**at_vae, "base_dit": s["base_dit"], "native_latents": latents}
    trained = Stage(
        "native", plain_version(e), alternatives.make_native, matched_config(e), upstream
    )
    drawn = sampled(e, trained)
    decoded = {"scale": 1, "batch": e.sample.batch_size, "zero_detail": False}
    images = Stage("samples", 2, samples.make_samples, decoded, {"base_vae": vae, "sampled": drawn})
    return {
        "native_vae": vae,
        "native_latents": latents,
        "native": trained,
        "sampled_native": drawn,
        "samples": images,
    }


def regressed(e: Experiment, s: Stages) -> Stages:
    """A super-resolver on latents: the base model as it is, its detail regressed from z."""
    classes_only(e, "completes the samples of a model on classes")
    roles = ("crops", "base_vae", "base_latents", "detail_latents", "base_dit")
    regressor = Stage(
        "regressor",
        1,
        alternatives.make_regressor,
        {"adapt": e.adapt, "seed": e.seed, **_family_config(e)},
        {role: s[role] for role in roles},
    )
    drawn = sampled(e, s["base_dit"])
    completed = Stage(
        "completed", 1, alternatives.make_completed, {}, {"sampled": drawn, "regressor": regressor}
    )
    config = {"scale": e.data.scale, "batch": e.sample.batch_size, "zero_detail": False}
    upstream = {"base_vae": s["base_vae"], "sampled": completed, "davae": s["davae"]}
    return {
        "regressor": regressor,
        "sampled": drawn,
        "completed": completed,
        "samples": Stage("samples", 2, samples.make_samples, config, upstream),
    }


METHODS: dict[str, Method] = {
    name: Method(name, row, RUN_ROWS[row], stages)
    for name, row, stages in (
        ("davae", "adapted", davae),
        ("control", "control", control),
        ("control_decoded", "control_decoded", control_decoded),
        ("base_upsampled", "base_upsampled", base_upsampled),
        ("base_decoded", "base_decoded", base_decoded),
        ("repeat", "repeat", repeated),
        ("regressed", "regressed", regressed),
        ("native", "native", native),
        ("tuned", "tuned", tuned),
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
