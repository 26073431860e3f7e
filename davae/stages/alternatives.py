"""Other ways to the high resolution: four times the tokens, and the detail regressed from z."""

from __future__ import annotations

import numpy as np
import torch

from davae.core.experiment import AdaptConfig, FlowConfig
from davae.core.ranks import ranks
from davae.data.pixels import to_unit
from davae.data.shards import write_shards
from davae.models.families.registry import FAMILIES
from davae.models.regressor import DetailRegressor
from davae.stages.artifacts import (
    MODEL,
    SPLITS,
    crops,
    latent_set,
    latents,
    load_vae,
    save_model,
    seeded,
)
from davae.stages.autoencoder import ENCODED_BASE, encode_all
from davae.stages.samples import LATENTS
from davae.stages.stage import Work, together
from davae.stages.transformer import (
    CHECKS,
    adaptation_flops,
    dit_flops,
    further_terms,
    matched,
    train_network,
    training_flops,
)
from davae.train.loop import Trainer
from davae.train.regressor import regressor_task


@together
def make_native_latents(work: Work, train_crops: int = 0, check_crops: int = 0) -> None:
    """The VAE's latent of every crop at the full resolution, or of the first `train_crops` of
    training and `check_crops` of the others: s^2 times the positions."""
    vae = load_vae(work)
    for split in SPLITS:
        count = train_crops if split == "train" else check_crops
        images = crops(work.inputs["crops"], split, count)[0]

        def encoded(part: range, images: np.ndarray = images) -> torch.Tensor:
            return encode_all(vae, to_unit(images[part.start : part.stop]), work.runtime)

        batch, said = work.runtime.images_at_once or ENCODED_BASE, f"native latents ({split})"
        write_shards(work.folder / split, len(images), batch, encoded, said)


@together
def make_native(
    work: Work,
    adapt: AdaptConfig,
    flow: FlowConfig,
    class_dropout: float,
    seed: int,
    detail_channels: int,
) -> None:
    """The base network on the larger grid, its positions made for it, trained for as many FLOPs as
    an adaptation to `detail_channels` takes."""
    base = FAMILIES["lightning"].load(work.inputs["base_dit"] / MODEL)
    side = latents(work, "native_latents", "train").shape[-1]
    network = type(base)(**{**base.config, "input_size": side})
    network.load_state_dict(base.state_dict())
    taken = adaptation_flops(base, adapt, detail_channels)
    train_network(
        work,
        "native",
        network,
        ("native_latents",),
        train=matched(adapt.train, taken, dit_flops(network)),
        flow=flow,
        dropout=class_dropout,
        seed=seed,
        adapt_config=further_terms(adapt),
    )


@together
def make_regressor(work: Work, adapt: AdaptConfig, seed: int, family: str = "lightning") -> None:
    """Train z -> z_d for as many FLOPs as an adaptation takes, with its optimizer's settings."""
    roles = ("base_latents", "detail_latents")
    sets = {split: latent_set(work, split, *roles) for split in ("train", "heldout")}
    base, detail = (latents(work, role, "train").shape[1] for role in roles)
    seeded(seed, "regressor")
    model = DetailRegressor(base_channels=base, detail_channels=detail).to(work.runtime.device)
    heldout = sets["heldout"].first(CHECKS)
    task = regressor_task(model, sets["train"], heldout, seed, adapt.train.epochs)
    x = torch.zeros(1, base, *sets["train"].latents.shape[2:])
    own = training_flops(model, lambda: model(x.to(work.runtime.device)))
    base_dit = FAMILIES[family].load(work.inputs["base_dit"] / MODEL)
    train = matched(adapt.train, adaptation_flops(base_dit, adapt, detail, family), own)
    model = Trainer(task, train, work.runtime, work.folder).run()
    if ranks().main:
        save_model(model, work.folder / MODEL, rounded=adapt.train.round_weights)


@torch.no_grad()
def make_completed(work: Work) -> None:
    """Sampled base latents with the regressed detail behind them, as a sampling stage leaves."""
    model = DetailRegressor.from_pretrained(work.inputs["regressor"] / MODEL).eval()
    base = torch.from_numpy(np.load(work.inputs["sampled"] / LATENTS))
    detail = torch.cat([model(part) for part in base.split(256)])
    np.save(work.folder / LATENTS, torch.cat([base, detail], 1).numpy())
    np.save(work.folder / "labels.npy", np.load(work.inputs["sampled"] / "labels.npy"))
