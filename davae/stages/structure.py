"""The stages that measure a DA-VAE's latents: class structure, t-SNE and spectra (Fig. 3, S5)."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from davae.alignment import orthogonal
from davae.config import DataConfig
from davae.data.crops import draw_images, to_unit
from davae.metrics import latents as space
from davae.metrics.spectrum import high_frequency_share, radial_spectrum
from davae.metrics.uniformity import embedding_density, uniformity
from davae.stages.evaluation import Value, raw_detail, write_values
from davae.stages.stage import Work
from davae.stages.training import class_names, crops, load_davae

SPECTRUM_PX = 256
SPECTRUM_CROPS = 130
BETTER = {"cka": None, "effective_rank": None, "variation": False, "gini": False}
"""Where higher is not better."""


def spaces(base: torch.Tensor, detail: torch.Tensor) -> dict[str, np.ndarray]:
    """z, z_d and the part of z_d that alignment does not act on, [N, channels, h, w] each."""
    rest = orthogonal(detail, base.shape[1])
    return {"z": base.numpy(), "z_d": detail.numpy(), "z_d_orthogonal": rest.numpy()}


def make_structure(work: Work) -> None:
    """Companions and t-SNE of each space, on held-out crops; classifiers are fitted on training crops."""
    model = load_davae(work)
    held, held_y = crops(work.inputs["crops"], "heldout")
    train, train_y = (part[: 2 * len(held)] for part in crops(work.inputs["crops"], "train"))
    found = []
    for split, images in (("train", train), ("heldout", held)):
        base = torch.from_numpy(
            np.load(work.inputs["base_latents"] / f"{split}.npy", mmap_mode="r")[: len(images)].copy()
        )
        found.append(spaces(base, raw_detail(model, images, work.runtime.device)))
    values = []
    embeddings: dict[str, Any] = {}
    for name, of_train in found[0].items():
        of_held = found[1][name]
        companions = asdict(space.structure(of_train, train_y, of_held, held_y, found[1]["z"]))
        mean, std = space.by_channel(of_train).mean(0), space.by_channel(of_train).std(0)
        points = space.standardise(of_held, mean, std)
        embeddings[name] = space.tsne(points)
        companions |= asdict(uniformity(embedding_density(embeddings[name])))
        companions["stability"] = space.stability(points, embeddings[name])
        values += [_value(f"{metric}_{name}", value, len(held)) for metric, value in companions.items()]
    write_values(work.folder, values)
    names = np.array(class_names(work.inputs["crops"]))
    np.savez_compressed(work.folder / "embeddings.npz", labels=held_y, classes=names, **embeddings)


def _value(metric: str, value: float, n: int) -> Value:
    better = BETTER.get(next((m for m in BETTER if metric.startswith(m)), ""), True)
    known = "held-out crops, channels standardised on training crops, positions kept apart"
    return Value("davae", metric, value, n, better, known)


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
