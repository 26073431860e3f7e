"""What every stage of a run takes: time on a GPU and a host of 16 cores, GPU memory and disk. All
of it is predicted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd

from davae.core.data_config import FILES
from davae.core.experiment import Experiment, TrainConfig
from davae.core.runtime import Runtime
from davae.models.unweighted import architecture
from davae.plan.count import Count
from davae.plan.shares import Shares
from davae.stages.fit import Fit, fits
from davae.stages.memory import DECODED
from davae.stages.prompts import TEXT_CHECKS
from davae.stages.run_graph import run_stages
from davae.stages.stage import Stage

RECOMPUTED = 4 / 3
"""Of a training's time where activations are recomputed: one more forward beside three."""
EXACT = 2.0
"""Of an autoencoder's time in bfloat16 where what is judged is decoded, in float32: assumed, by
what is reached of the one and the peak of the other on an H100."""
CORES = 16
"""Of the host that is planned with."""
REDUCED, COMPARED = 2.3e-7, 4.8e-7
"""Seconds of a core a pixel that are assumed: an image is reduced to what a judge's network takes,
as the cases `features` and `features_network` of results/cpu-2core/history differ; the SSIM of a
pair, of which there is no record."""


NOWHERE = "not read by plans"


def without_files(e: Experiment) -> Experiment:
    """The experiment whose stages read no files to be keyed."""
    if e.data.name not in FILES:
        return e
    captions = NOWHERE if e.data.captions else ""
    return replace(e, data=replace(e.data, path=NOWHERE, captions=captions))


def forwards(e: Experiment) -> int:
    """Forwards an image, guidance outside its interval included."""
    return (
        e.sample.num_inference_steps
        * architecture(e).forwards_a_step
        * (1 + (e.sample.solver == "heun"))
    )


def prompts_of(e: Experiment) -> int:
    """Prompts that are stored: of training crops, of those that are checked, and the empty one."""
    return e.data.train_crops + min(TEXT_CHECKS, e.data.eval_crops) + 1


def crops_of(e: Experiment) -> int:
    """All crops of the three splits."""
    return e.data.train_crops + 2 * e.data.eval_crops


def trained_crops(e: Experiment) -> int:
    """Crops whose detail is encoded."""
    checked = 2 * (e.adapt.check_crops or e.data.eval_crops)
    return (e.adapt.train_crops or e.data.train_crops) + checked


def flops_of(e: Experiment, role: str, stage: Stage, counted: Count) -> float:
    """FLOPs of a stage; 0 where it is not counted."""
    c, judged = counted, e.eval.count or e.data.eval_crops

    def steps(train: TrainConfig, of_sample: float) -> float:
        return float(train.steps * train.batch_size) * of_sample

    detail = c.encode - c.encode_base
    prompts = c.prompt * architecture(e).forwards_a_step
    image = forwards(e) * c.forward + prompts
    wide = "adapted" in stage.upstream or "davae" in stage.upstream
    decode = c.decode / (1 if wide or stage.name == "reconstruction" else e.data.scale**2)
    # without detail: the decoder alone, forward and backward
    davae_step = c.davae_step if role != "no_detail_decoder" else 3 * c.decode
    text_training = steps(
        e.adapt.train, c.training_step + (0 if e.adapt.stored_prompts else c.prompt)
    )
    per_stage = {
        "base_latents": c.encode_base * crops_of(e),
        "detail_latents": detail * trained_crops(e),
        "davae": steps(e.davae.train, davae_step + c.losses),
        "adapted": steps(e.adapt.train, c.training_step),
        "control": steps(e.adapt.train, c.training_step),
        "text_adapted": text_training,
        "text_tuned": text_training,
        "prompts": c.prompt * prompts_of(e),
        "sampled": image * judged,
        "samples": decode * judged,
        "text_samples": (image + decode) * judged,
        "reconstruction": (detail + (4 if role == "reconstruction" else 1) * c.decode) * judged,
        "baselines": decode * judged,
    }
    return float(per_stage.get(stage.name, 0.0))


def host_seconds(e: Experiment, role: str, stage: Stage) -> float:
    """What judging takes of CORES cores: sets of images reduced for networks, and pairs compared;
    the judges' networks are left out."""
    judged, area = e.eval.count or e.data.eval_crops, e.data.resolution_px**2
    judges, ssim = len(e.eval.judges), "ssim" in e.eval.metrics
    decoded = 4 if role == "reconstruction" else 1  # Fig. S2's rows among them
    small = 1 / e.data.scale**2
    reduced, compared = {
        "references": (4 * (judges + 1), 0.0),
        "baselines": (2 * judges + 2, 2 + small),
        "reconstruction": (decoded * judges, decoded),
        "generation": (judges + 1, 0.0),
    }.get(stage.name, (0, 0.0))
    return judged * area * (reduced * REDUCED + compared * COMPARED * ssim) / CORES


def scratch_of(e: Experiment, role: str, stage: Stage) -> float:
    """Bytes of files that are there only while a stage measures."""
    judged, image = e.eval.count or e.data.eval_crops, 3.0 * e.data.resolution_px**2
    detail = 4.0 * (e.davae.detail_channels if role == "reconstruction" else 0)
    sets = {
        "baselines": (2 + 2 / e.data.scale**2) * image,
        "reconstruction": image + detail * e.latent_size**2,
    }
    return judged * sets.get(stage.name, 0.0)


def disk_of(e: Experiment, stage: Stage, counted: Count) -> float:
    """Bytes that a finished stage keeps."""
    judged, area = e.eval.count or e.data.eval_crops, e.latent_size**2
    image, c = 3.0 * e.data.resolution_px**2, counted
    channels = e.base_vae.latent_channels
    return {
        "crops": image * crops_of(e),
        "base_latents": 4.0 * channels * area * crops_of(e),
        "detail_latents": 4.0 * e.davae.detail_channels * area * trained_crops(e),
        "davae": 4.0 * (c.davae_trained + c.davae_frozen),
        "adapted": 4.0 * (c.transformer + c.widened),
        "control": 4.0 * c.transformer,
        "base_dit": 4.0 * c.transformer,
        "text_adapted": 4.0 * (c.trained + c.davae_trained + c.davae_frozen),
        "text_tuned": 4.0 * c.lora,
        "prompts": 2.0 * c.prompt_values * prompts_of(e),
        "sampled": 4.0 * (channels + e.davae.detail_channels) * area * judged,
        "samples": image * judged,
        "text_samples": image * judged,
    }.get(stage.name, 0.0)


def stage_rows(
    e: Experiment, counted: Count, *, memory_gib: float, tflops: float, shares: Shares,
    asked: Runtime,
) -> pd.DataFrame:  # fmt: skip
    """A row a stage of a run: hours, GiB of GPU memory, the settings under which it fits, and GiB
    of disk.

    tflops: the GPU's peak; shares: what is reached of it. Raises ValueError where a stage does not
    fit."""
    plain = without_files(e)
    stages = run_stages(plain)
    found = fits(plain, stages, memory_gib, asked)
    rows: list[dict[str, Any]] = []
    for role, stage in stages.items():
        flops, fit = flops_of(plain, role, stage, counted), found.get(role)
        rate = tflops * 1e12 * share_of(stage, shares)
        slower = RECOMPUTED if fit is not None and fit.recomputed else 1.0
        slower *= EXACT if stage.name in DECODED else 1.0
        seconds = slower * flops / rate + host_seconds(plain, role, stage)
        rows.append(
            {
                "stage": role,
                "hours": seconds / 3600 or None,
                "GPU GiB": fit.bytes / 2**30 if fit else None,
                "samples at once": fit.count if fit else None,
                "settings": settings_text(fit),
                "disk GiB": disk_of(plain, stage, counted) / 2**30 or None,
                "scratch GiB": scratch_of(plain, role, stage) / 2**30 or None,
            }
        )
    return pd.DataFrame(rows)


TRANSFORMERS = {
    **dict.fromkeys(("adapted", "control", "native", "text_adapted", "text_tuned"), "training"),
    **dict.fromkeys(("sampled", "text_samples", "prompts"), "sampling"),
}
"""Which share the stages have whose work is a transformer's; that of others is autoencoders'."""


def share_of(stage: Stage, shares: Shares) -> float:
    """The share of the peak that a stage reaches."""
    return float(getattr(shares, TRANSFORMERS.get(stage.name, "autoencoder")))


def settings_text(fit: Fit | None) -> str:
    """The settings that a stage has for itself."""
    if fit is None:
        return ""
    return ", ".join(f"{name} {value}" for name, value in fit.settings.items())
