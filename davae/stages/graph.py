"""The stage graph of an experiment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from davae.core.data_config import FILES, DataConfig
from davae.core.experiment import Experiment
from davae.metrics.registry import chosen
from davae.models.families.registry import family_of
from davae.stages import autoencoder, data, judging, latents, own, proxies, scoring, transformer
from davae.stages.methods import Stages, encoded_crops, method_of
from davae.stages.speed import speed_stage
from davae.stages.stage import Stage

LAGGING = ("davae", "repeat")
"""Methods whose samples are of the adapted network, so that its detail may lag."""
DRAWN = {"scenes": 2, "folder": 4, "webdataset": 2}
"""Version of the stages that draw crops and captions, where it is not 1, by data set."""


AGAINST_HELDOUT = {"against": "heldout"}
"""How images of captions are judged, which are those of held-out images."""
UNSEEN_HELDOUT = {"unseen": "heldout"}
"""What no training saw of files, which are trained on as wholes: fresh crops are of the same."""


def graph(e: Experiment) -> Stages:
    """Every stage of the experiment's method, by role. Roles that a method lacks are absent.

    With `detail_channels` 0 there is nothing to adapt: the graph ends at the reconstruction. Raises
    ValueError for a family, method or metric that is not there, and for settings that the family
    does not read."""
    check_metrics(e)
    if any(e.adapt.detail_lag) and e.method not in LAGGING:
        raise ValueError(f"adapt.detail_lag does nothing for the method {e.method!r}")
    s = base_stages(e)
    s["davae"] = davae_stage(e, s)
    s["no_detail_decoder"] = no_detail_decoder(e, s)
    scoring_inputs = {"crops": s["crops"], "references": s["references"]}
    measured = {**scoring_inputs, "base_latents": s["base_latents"], "davae": s["davae"]}
    metrics = {"metrics": e.eval}
    s["reconstruction"] = Stage("reconstruction", 3, scoring.make_reconstruction, metrics, measured)
    if not e.davae.detail_channels:
        return s
    at_davae = {"crops": s["crops"], "davae": s["davae"]}
    s["detail_latents"] = Stage(
        "detail_latents", 1, autoencoder.make_detail_latents, encoded_crops(e), at_davae
    )
    method = method_of(e)
    s |= method.stages(e, s)
    row: dict[str, Any] = {**metrics, "arm": method.row}
    if family_of(e).conditions == "captions":
        row |= {**AGAINST_HELDOUT, "patches": True}
    row |= unseen(e)
    s["generation"] = Stage(
        "generation", 3, scoring.make_generation, row, {**scoring_inputs, "samples": s["samples"]}
    )
    if "sampled" in s:
        sampled = {role: s[role] for role in ("base_vae", "base_latents", "sampled")}
        if e.method == "davae":
            sampled["detail_latents"] = s["detail_latents"]
        s["latent_distance"] = Stage(
            "latent_distance", 1, latents.make_latent_distance, {"arm": method.row}, sampled
        )
    return s


def unseen(e: Experiment) -> dict[str, str]:
    """Which split the search for copies of training crops compares with."""
    return UNSEEN_HELDOUT if e.data.name in (*FILES, "hub") else {}


def check_metrics(e: Experiment) -> None:
    """Raise ValueError for metrics that a run cannot give what they need."""
    captioned = chosen(e.eval.metrics, "captions")  # which names unknown metrics
    if captioned:
        names = ", ".join(metric.name for metric in captioned)
        raise ValueError(
            f"eval.metrics: {names} needs captions; judge a run's samples with davae eval "
            "--captions"
        )


def drawn_data(e: Experiment) -> dict[str, object]:
    """What crops are drawn by; the base image's reduction changes none."""
    return {"data": replace(e.data, scale=1, antialias=False), "seed": e.data_seed}


def davae_stage(e: Experiment, s: Stages) -> Stage:
    """The DA-VAE."""
    config = {
        "davae": e.davae,
        "scale": e.data.scale,
        "antialias": e.data.antialias,
        "seed": e.data_seed if e.shared_davae else e.seed,
    }
    pooled = bool(e.autoencoder_data)
    upstream = {
        "crops": s["pool" if pooled else "crops"],
        "base_vae": s["base_vae"],
        "base_latents": s["pool_latents" if pooled else "base_latents"],
    }
    if e.davae.align_method == "generation" and e.davae.detail_channels:
        upstream["base_dit"] = s["base_dit"]
    if e.davae_start is not None:
        start = replace(e, davae=e.davae_start, davae_start=None, shared_davae=True)
        upstream["start"] = davae_stage(start, s)
    return Stage("davae", 1, autoencoder.make_davae, config, upstream)


def no_detail_decoder(e: Experiment, s: Stages) -> Stage:
    """The decoder of the base latent alone, trained as the DA-VAE is, from a start of its own
    where that has one."""
    plain = replace(e.davae, detail_channels=0, fresh_detail=False)
    return davae_stage(replace(e, davae=plain, davae_start=e.decoder_start), s)


def drawing(e: Experiment) -> Stage:
    """The crops of the experiment's data."""
    version = DRAWN.get(e.data.name, 1)
    return Stage("crops", version, data.make_crops, drawn_data(e), content=e.data.path)


def pool(e: Experiment) -> Stage:
    """The crops of `autoencoder_data`."""
    sets: Stages = {
        name: drawing(replace(e, data=DataConfig(name=name, resolution_px=e.data.resolution_px)))
        for name in e.autoencoder_data
    }
    return Stage("pool", 1, data.make_pool, {}, sets)


def base_stages(e: Experiment) -> Stages:
    """The stages that several `seed`s share: data, base VAE, base DiT and real references."""
    s: Stages = {}
    family = family_of(e)
    images = {"scale": e.data.scale, "antialias": e.data.antialias}
    encoded = {**images, "clamp_base": True} if e.davae.clamp_base else images
    version = DRAWN.get(e.data.name, 1)
    s["crops"] = drawing(e)
    at_crops = {"crops": s["crops"]}
    if e.autoencoder_data:
        s["pool"] = pool(e)
    base = {"base_vae": e.base_vae, **images, "seed": e.data_seed}
    vae = e.base_vae.pretrained and str(Path(e.base_vae.pretrained) / e.base_vae.subfolder)
    at_pool = {"crops": s["pool"]} if e.autoencoder_data else at_crops
    s["base_vae"] = Stage("base_vae", 1, autoencoder.make_base_vae, base, at_pool, content=vae)
    if e.autoencoder_data:
        at_both = {**at_pool, "base_vae": s["base_vae"]}
        s["pool_latents"] = Stage(
            "base_latents", 1, autoencoder.make_base_latents, encoded, at_both
        )
    at_vae = {**at_crops, "base_vae": s["base_vae"]}
    s["base_latents"] = Stage("base_latents", 1, autoencoder.make_base_latents, encoded, at_vae)
    at_latents = {**at_vae, "base_latents": s["base_latents"]}
    if family.conditions == "captions":
        said = e.data.captions if e.data.name == "folder" else e.data.path  # which holds them
        version += e.data.crop == "center"  # whose captions were of random crops
        s["captions"] = Stage(
            "captions", version, data.make_captions, drawn_data(e), at_crops, content=said
        )
    else:
        network = {"base_dit": e.base_dit, "flow": e.flow, "seed": e.base_seed}
        content = e.base_dit.pretrained
        s["base_dit"] = Stage(
            "base_dit", 1, transformer.make_base_dit, network, at_latents, content=content
        )
    s["references"] = Stage("references", 1, judging.make_references, {"metrics": e.eval}, at_crops)
    scoring_inputs = {**at_latents, "references": s["references"]}
    judged = {"metrics": e.eval, **images}
    judged |= AGAINST_HELDOUT if family.conditions == "captions" else {}
    judged |= unseen(e)
    s["baselines"] = Stage("baselines", 3, scoring.make_baselines, judged, scoring_inputs)
    return s


def analyses(e: Experiment) -> Stages:
    """Stages that look into the latents; a run does not need them, an ablation may ask for them."""
    s = graph(e)
    if not e.davae.detail_channels:
        return {}
    upstream = {role: s[role] for role in ("crops", "base_latents", "davae")}
    further = tuple(
        m.name for m in chosen(e.eval.metrics, "latents") if m.name not in latents.COMPANIONS
    )
    structure: dict[str, Any] = {"metrics": further} if further else {}
    structure |= {"count": e.eval.count} if e.eval.count else {}
    of_davae = {"davae": s["davae"]}
    large = e.eval.count // 3  # crops of 256 px, which take as long as many of a judged one
    few = {"count": large} if 0 < large < latents.SPECTRUM_CROPS else {}
    adapted = s.get("adapted")
    checked = {"check_crops": e.adapt.check_crops} if e.adapt.check_crops else {}
    flow = (
        {"adapted_flow": Stage("flow", 2, scoring.make_flow, checked, {"adapted": adapted})}
        if adapted is not None and adapted.name == "adapted"
        else {}
    )
    read = ("crops", "base_vae", "base_latents", "davae", "detail_latents")
    return {
        **flow,
        **own_stages(e, s),
        "proxies": Stage("proxies", 1, proxies.make_proxies, {}, {role: s[role] for role in read}),
        "structure": Stage("structure", 2, latents.make_structure, structure, upstream),
        "spectrum": Stage(
            "spectrum",
            2 + DRAWN.get(e.data.name, 1),
            latents.make_spectrum,
            {**drawn_data(e), **few},
            of_davae,
            content=e.data.path,
        ),
    }


def own_stages(e: Experiment, s: Stages) -> Stages:
    """How fast the samples are made, and how far they are from held-out crops that went through the
    same decoder; nothing where a pipeline samples and decodes at once."""
    images = s["samples"]
    if "sampled" not in images.upstream:
        return {}
    parts = ["base_latents"]
    if "native_latents" in s:
        parts = ["native_latents"]
    elif images.upstream.get("davae") is s["davae"]:
        parts.append("detail_latents")
    read = {role: s[role] for role in ("crops", *parts)}
    read["base_vae"] = images.upstream.get("base_vae", s["base_vae"])
    some = {"count": e.eval.count} if e.eval.count else {}
    real = Stage("own_latents", 1, own.make_own_latents, some, read)
    decoded = replace(images, upstream={**images.upstream, "sampled": real})
    speed = speed_stage(images, method_of(e).row)
    return {
        **({"speed": speed} if speed is not None else {}),
        "own_images": decoded,
        "own_distance": Stage(
            "own_distance",
            3,
            own.make_own_distance,
            {"metrics": e.eval, "arm": method_of(e).row},
            {"samples": images, "own": decoded, "crops": s["crops"]},
        ),
    }
