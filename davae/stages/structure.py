"""The stages that measure a DA-VAE's latents: class structure, t-SNE and spectra (Fig. 3, S5)."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from davae.alignment import group_sizes, orthogonal
from davae.config import DataConfig
from davae.data.crops import draw_images, to_unit
from davae.metrics import latents as space
from davae.metrics.spectrum import high_frequency_share, radial_spectrum
from davae.metrics.uniformity import embedding_density, uniformity
from davae.stages.evaluation import Value, images_hash, write_values
from davae.stages.stage import Work
from davae.stages.training import class_names, crops, load_davae, raw_detail

SPECTRUM_PX = 256
SPECTRUM_CROPS = 130
BETTER = {"cka": None, "effective_rank": None, "variation": False, "gini": False}
"""Where higher is not better."""
EMBEDDED = ("variation", "gini", "entropy", "stability")
"""Metrics of the t-SNE picture, not of the space."""


def spaces(base: torch.Tensor, detail: torch.Tensor) -> dict[str, np.ndarray]:
    """z, z_d and the part of z_d that alignment does not act on, [N, channels, h, w] each.

    A channel that is a group of its own has no such part and is left out of it; the space is absent
    where that holds for all, as with D = C, and where D < C, so that there is no Proj.
    """
    found = {"z": base.numpy(), "z_d": detail.numpy()}
    c, d = base.shape[1], detail.shape[1]
    kept = [size > 1 for size in group_sizes(d, c) for _ in range(size)] if d >= c else []
    if any(kept):
        found["z_d_orthogonal"] = orthogonal(detail, c)[:, kept].numpy()
    return found


def make_structure(work: Work) -> None:
    """Companions and t-SNE of each space, on held-out crops; classifiers are fitted on training crops."""
    model = load_davae(work)
    held, held_y = crops(work.inputs["crops"], "heldout")
    train, train_y = (part[: 2 * len(held)] for part in crops(work.inputs["crops"], "train"))
    names = class_names(work.inputs["crops"])
    if len(names) < 2:
        raise ValueError(f"the structure of classes needs two or more; the data have {names}")
    found = []
    for split, images in (("train", train), ("heldout", held)):
        base = np.load(work.inputs["base_latents"] / f"{split}.npy")[: len(images)]
        found.append(spaces(torch.from_numpy(base), raw_detail(model, images, work.runtime)))
    z = space.scaled(found[0]["z"], found[1]["z"])[1]
    crop = f"held-out crops {images_hash(held)}"
    classified = f"{crop}, channels standardised and classifiers fitted on {len(train)} training crops"
    drawn = f"{crop}, t-SNE of scikit-learn, perplexity 30, PCA start, seed 0"
    known = {"effective_rank": f"{crop}, covariance of channels over positions"} | dict.fromkeys(EMBEDDED, drawn)
    values = []
    embeddings: dict[str, Any] = {}
    for name, of_train in found[0].items():
        of_held = found[1][name]
        companions = asdict(space.structure(of_train, train_y, of_held, held_y, z))
        points = space.scaled(of_train, of_held)[1]
        embeddings[name] = space.tsne(points)
        companions |= asdict(uniformity(embedding_density(embeddings[name])))
        companions["stability"] = space.stability(points, embeddings[name])
        for metric, value in companions.items():
            protocol = known.get(metric, classified)
            values.append(Value("davae", f"{metric}_{name}", value, len(held), BETTER.get(metric, True), protocol))
    write_values(work.folder, values)
    np.savez_compressed(work.folder / "embeddings.npz", labels=held_y, classes=np.array(names), **embeddings)


@torch.no_grad()
def make_spectrum(work: Work, data: DataConfig, seed: int) -> None:
    """Radial power spectra of the spaces on 256 px crops of the training regions, at the photographs' own scale."""
    model = load_davae(work)
    large = replace(data, resolution_px=SPECTRUM_PX, min_crop_px=SPECTRUM_PX, max_crop_px=SPECTRUM_PX)
    images, _, _ = draw_images(large, seed, "fresh", SPECTRUM_CROPS, regions=data)
    base, detail = [], []
    for start in range(0, len(images), 10):
        batch = to_unit(images[start : start + 10]).to(work.runtime.device)
        base.append(model.encode_base(batch).cpu())
        detail.append(model.detail_moments(batch)[0].cpu())
    shares = {}
    spectra: dict[str, Any] = {}
    for name, latents in spaces(torch.cat(base), torch.cat(detail)).items():
        spectra["frequency"], spectra[name] = radial_spectrum(latents)
        shares[name] = high_frequency_share(spectra["frequency"], spectra[name])
    known = f"{SPECTRUM_PX} px crops of training regions; share of power above 1/4 cycle a position"
    values = [Value("davae", f"high_frequency_{n}", v, len(images), None, known) for n, v in shares.items()]
    excess = shares["z_d"] - shares["z"]
    values.append(Value("davae", "high_frequency_excess", excess, len(images), None, known))
    write_values(work.folder, values)
    np.savez(work.folder / "spectra.npz", **spectra)
