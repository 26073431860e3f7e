"""The stage graph of an experiment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from davae.config import Experiment
from davae.stages import evaluation, structure, text, training
from davae.stages.stage import Stage

GENERATOR_ROW = {"davae": "adapted", "base_upsampled": "control"}
"""The row of the run's table that a method's samples make."""
TEXT_ROW = {"davae": "adapted", "base_upsampled": "base_upsampled"}


def graph(e: Experiment) -> dict[str, Stage]:
    """Every stage of the experiment's method, by role. Roles that a method lacks are absent.

    With `detail_channels` 0 there is nothing to adapt: the graph ends at the reconstruction.
    """
    s = shared(e)
    images = {"scale": e.data.scale, "antialias": e.data.antialias}
    at_crops = {"crops": s["crops"]}
    at_latents = {**at_crops, "base_vae": s["base_vae"], "base_latents": s["base_latents"]}
    judged = {**at_crops, "references": s["references"]}
    detail = {"davae": e.davae, **images, "seed": e.seed}
    s["davae"] = Stage("davae", 1, training.make_davae, detail, at_latents)
    measured = {**judged, "base_latents": s["base_latents"], "davae": s["davae"]}
    metrics = {"metrics": e.eval}
    s["reconstruction"] = Stage("reconstruction", 2, evaluation.make_reconstruction, metrics, measured)
    if not e.davae.detail_channels:
        return s

    at_davae = {**at_crops, "davae": s["davae"]}
    chosen = {"train_crops": e.adapt.train_crops} if e.adapt.train_crops else {}
    s["detail_latents"] = Stage("detail_latents", 1, training.make_detail_latents, chosen, at_davae)
    if e.base_dit.family != "lightning":
        return text_graph(e, s)
    wide = {**at_latents, "detail_latents": s["detail_latents"], "base_dit": s["base_dit"]}
    model = {"flow": e.flow, "class_dropout": e.base_dit.class_dropout, "seed": e.seed}
    s["adapted"] = Stage("adapted", 1, training.make_adapted, {"adapt": e.adapt, **model}, wide)
    generator, decoder = s["adapted"], {"davae": s["davae"]}
    if e.method == "base_upsampled":
        narrow = {**at_latents, "base_dit": s["base_dit"], "adapted": s["adapted"]}
        generator, decoder = Stage("control", 1, training.make_control, {"adapt": e.adapt, **model}, narrow), {}
        s["control"] = generator
    untrained = e.method == "davae" and e.adapt.train.steps == 0
    how = {"sample": e.sample, "count": e.data.eval_crops, "scale": e.data.scale, "seed": e.seed}
    sources = {"base_vae": s["base_vae"], "dit": generator, **decoder}
    s["samples"] = Stage("samples", 1, evaluation.make_samples, {**how, "zero_detail": untrained}, sources)
    row = {**metrics, "arm": GENERATOR_ROW[e.method]}
    s["generation"] = Stage("generation", 2, evaluation.make_generation, row, {**judged, "samples": s["samples"]})
    return s


def text_graph(e: Experiment, s: dict[str, Stage]) -> dict[str, Stage]:
    """What text to image adds to the stages `s`: captions, adaptation, samples of the held-out captions.

    Its `base_upsampled` is the pretrained pipeline at the base resolution, its images enlarged.
    """
    drawn = replace(e.data, scale=1, antialias=False)
    said = {"data": drawn, "seed": e.base_seed}
    s["captions"] = Stage("captions", 1, text.make_captions, said, content=e.data.captions)
    at_captions = {"crops": s["crops"], "captions": s["captions"]}
    model, given = {"base_dit": e.base_dit, "seed": e.seed}, e.base_dit.pretrained
    wide = {role: s[role] for role in ("crops", "base_vae", "base_latents", "detail_latents", "davae", "captions")}
    how = {**model, "adapt_config": e.adapt, "flow": e.flow}
    s["adapted"] = Stage("text_adapted", 1, text.make_text_adapted, how, wide, content=given)
    how = {**model, "sample": e.sample, "side": e.data.resolution_px, "scale": e.data.scale}
    sources = {**at_captions, "adapted": s["adapted"]} if e.method == "davae" else at_captions
    s["samples"] = Stage("text_samples", 1, text.make_text_samples, how, sources, content=given)
    row = {"metrics": e.eval, "arm": TEXT_ROW[e.method]}
    judged = {"crops": s["crops"], "references": s["references"], "samples": s["samples"]}
    s["generation"] = Stage("generation", 2, evaluation.make_generation, row, judged)
    return s


def analyses(e: Experiment) -> dict[str, Stage]:
    """Stages that look into the latents; a run does not need them, an ablation may ask for them."""
    s = graph(e)
    if not e.davae.detail_channels:
        return {}
    at = {"crops": s["crops"], "base_latents": s["base_latents"], "davae": s["davae"]}
    drawn = {"data": replace(e.data, scale=1, antialias=False), "seed": e.base_seed}
    return {
        "structure": Stage("structure", 1, structure.make_structure, {}, at),
        "spectrum": Stage("spectrum", 1, structure.make_spectrum, drawn, {"davae": s["davae"]}, content=e.data.path),
    }


def shared(e: Experiment) -> dict[str, Stage]:
    """The stages that depend on `base_seed` only: data, base VAE, base DiT and real references."""
    s: dict[str, Stage] = {}
    images = {"scale": e.data.scale, "antialias": e.data.antialias}
    drawn = replace(e.data, scale=1, antialias=False)  # the base image's reduction changes no crop
    s["crops"] = Stage("crops", 1, training.make_crops, {"data": drawn, "seed": e.base_seed}, content=e.data.path)
    at_crops = {"crops": s["crops"]}
    base = {"base_vae": e.base_vae, **images, "seed": e.base_seed}
    vae = e.base_vae.pretrained and str(Path(e.base_vae.pretrained) / e.base_vae.subfolder)
    s["base_vae"] = Stage("base_vae", 1, training.make_base_vae, base, at_crops, content=vae)
    at_vae = {**at_crops, "base_vae": s["base_vae"]}
    s["base_latents"] = Stage("base_latents", 1, training.make_base_latents, images, at_vae)
    at_latents = {**at_vae, "base_latents": s["base_latents"]}
    transformer = {"base_dit": e.base_dit, "flow": e.flow, "seed": e.base_seed}
    given = e.base_dit.pretrained
    if e.base_dit.family == "lightning":
        s["base_dit"] = Stage("base_dit", 1, training.make_base_dit, transformer, at_latents, content=given)
    s["references"] = Stage("references", 1, evaluation.make_references, {"metrics": e.eval}, at_crops)
    judged = {**at_latents, "references": s["references"]}
    s["baselines"] = Stage("baselines", 2, evaluation.make_baselines, {"metrics": e.eval, **images}, judged)
    return s
