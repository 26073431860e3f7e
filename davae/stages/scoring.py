"""The stages that measure. Each leaves its measurements by the row of the table that they belong
to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from davae.core import keyed
from davae.core.experiment import EvalConfig
from davae.core.records import Measurement, write_measurements
from davae.core.runtime import Runtime
from davae.core.store import read_log
from davae.data.mapped import blocks, give_back, new_array
from davae.data.pixels import to_uint8, upsample
from davae.data.shards import Shards
from davae.data.source import Split
from davae.method.alignment import alignment_loss, orthogonal
from davae.method.latent import join
from davae.method.spread import spread
from davae.models.davae import DAVAE
from davae.stages.artifacts import latents, load_davae, load_vae
from davae.stages.autoencoder import raw_detail
from davae.stages.data import base_images, first_of_each, shown_classes
from davae.stages.judging import (
    Judge,
    array_name,
    content_measurements,
    judged_crops,
    pixel_measurements,
    scene_measurements,
)
from davae.stages.patches import patch_measurements
from davae.stages.stage import Work
from davae.stages.transformer import CHECKS
from davae.train.davae import base_variance

BATCH = 20
"""Latents decoded at once."""
PART = 2_048
"""Samples whose latents are in memory at once."""


@torch.no_grad()
def make_baselines(
    work: Work, metrics: EvalConfig, scale: int, antialias: bool, against: Split = "fresh",
    unseen: Split = "fresh",
) -> None:  # fmt: skip
    """Rows without a DA-VAE: bicubic, the base VAE at its own resolution, and real crops, which
    are judged against those that samples are."""
    device = work.runtime.device
    heldout, labels = judged_crops(work, "heldout", metrics)
    sets = baseline_images(work, heldout, scale, antialias)
    measured = {"base_vae": pixel_measurements(sets["base_vae"], sets["small"], metrics, device)}
    for row in ("bicubic", "base_vae_enlarged"):
        measured[row] = [
            *pixel_measurements(sets[row], heldout, metrics, device),
            *Judge(work, "heldout", metrics)(sets[row], "r"),
            *scene_measurements(sets[row], labels, metrics),
        ]
    judge = Judge(work, against, metrics)
    other = "heldout" if against == "fresh" else "fresh"
    for row, split in ((f"real_{other}", other), ("real_train", "train")):
        real = np.load(work.inputs["references"] / f"{split}.npz")
        count = len(judge.stored["labels"])
        features = [real[array_name(i)][:count] for i in range(len(judge.judges))]
        measured[row] = judge.of_features(features, "g")
    measured.setdefault("real_heldout", []).extend(judge.of_classes(heldout))
    for split in ("heldout", "fresh"):
        images, labels = judged_crops(work, split, metrics)
        row = measured.setdefault(f"real_{split}", [])
        row += content_measurements(work, images, labels, metrics, unseen)
        row += scene_measurements(images, labels, metrics)
    write_measurements(work.folder, measured)


def scratch_images(work: Work, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """An array of uint8 images that lies in a file of the stage's folder, which is removed when the
    stage ends: a set of any size costs no memory. An array of the same name is written over."""
    return new_array(work.folder / f"scratch.{name}.npy", np.uint8, shape)


@torch.no_grad()
def baseline_images(
    work: Work, heldout: np.ndarray, scale: int, antialias: bool
) -> dict[str, np.ndarray]:
    """uint8 images, block by block: the base images (`small`), them enlarged (`bicubic`), through
    the base VAE, and that enlarged."""
    vae, device = load_vae(work), work.runtime.device
    base = latents(work, "base_latents", "heldout")
    count, channels, height, width = heldout.shape
    low = (count, channels, height // scale, width // scale)
    shapes = {"small": low, "base_vae": low} | dict.fromkeys(
        ("bicubic", "base_vae_enlarged"), heldout.shape
    )
    sets = {name: scratch_images(work, name, shape) for name, shape in shapes.items()}
    batch = work.runtime.images_at_once or BATCH
    for start in range(0, count, batch):
        part = slice(start, min(start + batch, count))
        small = base_images(heldout[part], scale, antialias)
        decoded = vae.decode(base[part].to(device)).sample  # in float32, see Runtime.exact
        sets["small"][part], sets["base_vae"][part] = to_uint8(small), to_uint8(decoded)
        sets["bicubic"][part] = to_uint8(upsample(small, scale))
        sets["base_vae_enlarged"][part] = to_uint8(upsample(decoded, scale))
        for array in (heldout, *sets.values()):
            give_back(array)
    return sets


Rows = Callable[[slice], torch.Tensor]
"""The latents of some samples of a set."""


@torch.no_grad()
def make_reconstruction(work: Work, metrics: EvalConfig) -> None:
    """Held-out crops through the DA-VAE: with its detail, and with it zeroed, randomised (Fig. S2),
    and taken from another crop; in float32 (Runtime.exact)."""
    work = replace(work, runtime=work.runtime.exact())
    model = load_davae(work)
    heldout, labels = judged_crops(work, "heldout", metrics)
    base = latents(work, "base_latents", "heldout").first(len(heldout))
    detail = encoded_detail(work, model, heldout)
    own_row = "davae" if model.config.detail_channels else "no_detail"
    details: dict[str, Rows] = {own_row: lambda rows: taken(detail, rows)}
    measured: dict[str, list[Measurement]] = {own_row: []}
    if model.config.detail_channels:
        details |= other_details(detail)
        measured[own_row] += detail_measurements(detail, base, work)
    judge = Judge(work, "heldout", metrics)
    shown = first_of_each(labels, shown_classes(work.inputs["crops"], metrics.count))
    kept = {}
    for row, rows_of in details.items():
        images = scratch_images(work, "decoded", heldout.shape)
        decode_all(model, base, rows_of, work.runtime, images)
        pixels = pixel_measurements(images, heldout, metrics, work.runtime.device)
        facts = scene_measurements(images, labels, metrics)
        measured[row] = measured.get(row, []) + pixels + judge(images, "r") + facts
        kept[row] = images[shown]
    measured[own_row] += dependence(measured)
    write_measurements(work.folder, measured)
    np.savez_compressed(work.folder / "shown.npz", original=heldout[shown], **kept)


def encoded_detail(work: Work, model: DAVAE, images: np.ndarray) -> np.ndarray:
    """The raw modes of the detail [N, D, h, w], in a file of the stage's folder."""
    shape = (len(images), *model.detail_shape(images.shape[2:]))
    if not model.config.detail_channels:
        return np.empty(shape, np.float32)
    file = new_array(work.folder / "scratch.detail.npy", np.float32, shape)
    for start in range(0, len(images), PART):
        part = slice(start, start + PART)
        file[part] = raw_detail(model, images[part], work.runtime).numpy()
        give_back(file)
    return file


def other_details(detail: np.ndarray) -> dict[str, Rows]:
    """By row of the table: the detail zeroed, normal noise with each channel's mean and deviation
    over the set, and that of the crop before."""
    found, count = spread(tensors(detail)), len(detail)
    mean, std = (v[:, None, None] for v in (found.mean, found.variance.sqrt()))

    def random(rows: slice) -> torch.Tensor:
        drawn = range(*rows.indices(count))
        return mean + std * keyed.normal(0, "reconstruction/random", 0, drawn, detail.shape[1:])

    def exchanged(rows: slice) -> torch.Tensor:
        return taken(detail, [i - 1 for i in range(*rows.indices(count))])

    return {
        "davae_zeroed": lambda rows: torch.zeros_like(taken(detail, rows)),
        "davae_random": random,
        "davae_exchanged": exchanged,
    }


def taken(array: np.ndarray, rows: slice | list[int]) -> torch.Tensor:
    """Rows of an array that lies in a file, copied, its pages given back."""
    found = torch.from_numpy(np.array(array[rows]))
    give_back(array)
    return found


def tensors(*arrays: np.ndarray | Shards) -> Iterator[Any]:
    """Arrays of one length as tensors, PART rows at a time: one, or a tuple of several."""
    for parts in blocks(*arrays, size=PART):
        found = tuple(torch.as_tensor(part) for part in parts)
        yield found if len(found) > 1 else found[0]


def dependence(measured: dict[str, list[Measurement]]) -> list[Measurement]:
    """PSNR and rFD with the detail zeroed, randomised and exchanged between crops, and what the
    real one is better by (Fig. S2)."""
    by_name = {
        row: {m.metric: m for m in reversed(measurements)} for row, measurements in measured.items()
    }
    differences = []
    for other in ("zeroed", "random", "exchanged"):
        row = by_name.get(f"davae_{other}", {})
        if "psnr_db" in row:
            differences += compared(
                by_name["davae"]["psnr_db"],
                row["psnr_db"],
                f"psnr_{other}_db",
                f"psnr_over_{other}_db",
            )
        if "rfd_effnet" in row:
            names = (f"rfd_{other}_effnet", f"rfd_{other}_excess")
            rfd = compared(by_name["davae"]["rfd_effnet"], row["rfd_effnet"], *names)
            differences += [rfd[0], replace(rfd[1], value=-rfd[1].value, higher_is_better=None)]
    return differences


def compared(own: Measurement, other: Measurement, name: str, difference: str) -> list[Measurement]:
    """The other measurement under `name`, and own - other, which has no interval, under
    `difference`."""
    apart = replace(own, metric=difference, value=own.value - other.value, low=None, high=None)
    return [replace(other, metric=name), apart]


def decode_all(
    model: DAVAE, base: np.ndarray | Shards, rows_of: Rows, runtime: Runtime, out: np.ndarray
) -> None:
    """uint8 images of base latents [N, C, h, w] with some detail, written into `out`."""
    batch = runtime.images_at_once or BATCH
    with runtime.autocast():
        for start in range(0, len(base), batch):
            rows = slice(start, start + batch)
            latent = join(torch.as_tensor(base[rows]), rows_of(rows))
            out[rows] = to_uint8(model.decode_raw(latent.to(runtime.device)))
            give_back(out)


def detail_measurements(detail: np.ndarray, base: Shards, work: Work) -> list[Measurement]:
    """How much of the raw detail alignment does not act on, and how much of z it leaves
    unexplained."""
    left = spread(orthogonal(part, base.shape[1]) for part in tensors(detail)).variance
    share = float(left.sum() / spread(tensors(detail)).variance.sum())
    variance = base_variance(latents(work, "base_latents", "train"))
    losses = [(alignment_loss(d, b, variance), len(d)) for d, b in tensors(detail, base)]
    align = float(sum(loss * (n / len(detail)) for loss, n in losses))
    protocol = "posterior modes of held-out crops"
    return [
        Measurement(
            "orthogonal_share", share, len(detail), higher_is_better=True, protocol=protocol
        ),
        Measurement(
            "align_unexplained", align, len(detail), higher_is_better=False, protocol=protocol
        ),
    ]


FLOW_CURVE = "curve.csv"
"""The held-out flow loss by step, of the stage `flow`."""


def make_flow(work: Work, check_crops: int = 0) -> None:
    """The held-out flow loss of base and detail channels at the adaptation's end and half way,
    from its log, which is of CHECKS crops, or of as many as were encoded; curve.csv holds it by
    step."""
    log = read_log(work.inputs["adapted"])
    held = [line for line in log if "eval/heldout_base" in line]
    if not held:
        raise ValueError("the adaptation's log holds no held-out flow loss")
    curve = pd.DataFrame(held)[["step", "eval/heldout_base", "eval/heldout_detail"]]
    curve.columns = pd.Index(["step", "flow_base", "flow_detail"])
    curve.to_csv(work.folder / FLOW_CURVE, index=False)
    half = min(held, key=lambda line: abs(line["step"] - held[-1]["step"] / 2))
    protocol = "velocity error of held-out crops at fixed t and noise, as training logs it"
    count = min(CHECKS, check_crops or CHECKS)
    measured = [
        Measurement(
            f"flow_{part}{when}", line[f"eval/heldout_{part}"], count, higher_is_better=False,
            protocol=protocol,
        )
        for when, line in (("", held[-1]), ("_half", half))
        for part in ("base", "detail")
    ]  # fmt: skip
    write_measurements(work.folder, {"adapted": measured})


def make_generation(
    work: Work, metrics: EvalConfig, arm: str, against: Split = "fresh", patches: bool = False,
    unseen: Split = "fresh",
) -> None:  # fmt: skip
    """The samples against fresh crops of the training regions, or another split's; on patches of
    them, too. unseen: the split that no training saw."""
    images = np.load(work.inputs["samples"] / "images.npy", mmap_mode="c")
    labels = np.load(work.inputs["samples"] / "labels.npy")
    measured = Judge(work, against, metrics)(images, "g")
    if patches:
        real, _ = judged_crops(work, against, metrics)
        measured += patch_measurements(images, real, metrics, work.runtime.device, against)
    measured += content_measurements(work, images, labels, metrics, unseen)
    measured += scene_measurements(images, labels, metrics)
    write_measurements(work.folder, {arm: measured})
    shown = first_of_each(labels, shown_classes(work.inputs["crops"], metrics.count))
    np.savez_compressed(work.folder / "shown.npz", samples=images[shown])
