"""The stages that train transformers: base, adapted, control, and a pipeline's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from davae.core import keyed
from davae.core.experiment import AdaptConfig, BaseDiTConfig, FlowConfig, TrainConfig
from davae.core.ranks import ranks
from davae.measure.flops import count_flops
from davae.measure.imagined import imagine
from davae.models.adapt import adapt as widen_base
from davae.models.adapt import (
    add_lora,
    lora_of,
    merge_lora,
)
from davae.models.families.registry import FAMILIES
from davae.stages.artifacts import (
    MODEL,
    class_names,
    latent_set,
    latents,
    save_model,
    seeded,
)
from davae.stages.stage import Work, together
from davae.train.loop import Trainer
from davae.train.transformer import Denoiser, transformer_task

CHECKS = 650
"""Samples of a held-out set whose flow loss is logged."""


def train_network(
    work: Work,
    name: str,
    network: Any,
    roles: tuple[str, ...],
    *,
    train: TrainConfig,
    flow: FlowConfig,
    dropout: float,
    seed: int,
    adapt_config: AdaptConfig | None = None,
    merge: bool = False,
    train_crops: int = 0,
) -> None:
    """Train a class-conditional network on the latents of `roles`, of the first `train_crops` or
    with 0 of all, and save it, its adapters merged where it has any."""
    data = latent_set(work, "train", *roles, count=train_crops)
    checks = {
        split: latent_set(work, split, *roles).first(CHECKS) for split in ("heldout", "fresh")
    }
    network = network.to(work.runtime.device)
    network.velocity = work.runtime.compiled(network.velocity)
    detail = network.config.detail_channels
    denoiser = Denoiser(
        network, network, network.config.in_channels - detail, detail, network.config.num_classes
    )
    task = transformer_task(
        name,
        denoiser,
        data,
        checks,
        flow=flow,
        dropout=dropout,
        seed=seed,
        adapt=adapt_config,
        epochs=train.epochs,
    )
    trained = Trainer(task, train, work.runtime, work.folder).run()
    if not ranks().main:
        return
    if merge:
        merge_lora(trained)
        for parameter in trained.parameters() if train.round_weights else ():
            parameter.data = parameter.bfloat16().float()
    save_model(trained, work.folder / MODEL, rounded=train.round_weights)


def check_fits(network: Any, latents: tuple[int, ...], classes: int, path: str) -> None:
    """Raise ValueError if a pretrained network does not take these latents or classes."""
    takes = (network.config.in_channels, network.config.input_size, network.config.num_classes)
    needs = (latents[1], latents[2], classes)
    if takes != needs:
        names = "(in_channels, input_size, num_classes)"
        raise ValueError(
            f"the DiT at {path} has {names} {takes}; the base VAE and the data make {needs}"
        )


@together
def make_base_dit(work: Work, base_dit: BaseDiTConfig, flow: FlowConfig, seed: int) -> None:
    """Train (or load) the network on the base latents."""
    family, classes = FAMILIES[base_dit.family], len(class_names(work.inputs["crops"]))
    shape = latents(work, "base_latents", "train").shape
    if base_dit.pretrained:
        network = family.load(base_dit.pretrained)
        check_fits(network, shape, classes, base_dit.pretrained)
        if ranks().main:
            network.save_pretrained(work.folder / MODEL)
        return
    seeded(seed, "base_dit")
    network = family.network(base_dit, shape[1], shape[2], classes)
    dropout = base_dit.class_dropout
    train_network(
        work,
        "base DiT",
        network,
        ("base_latents",),
        train=base_dit.train,
        flow=flow,
        dropout=dropout,
        seed=seed,
    )


@together
def make_adapted(
    work: Work,
    adapt: AdaptConfig,
    flow: FlowConfig,
    class_dropout: float,
    seed: int,
    family: str = "lightning",
) -> None:
    """Widen the base network and fine-tune it on [base | detail] latents."""
    network = FAMILIES[family].load(work.inputs["base_dit"] / MODEL)
    init = adapt.init
    if init == "scratch":
        seeded(seed, "adapt/scratch")
        network, init = type(network)(**network.config), "random"
    channels = latents(work, "detail_latents", "train").shape[1]
    report = widen_base(network, channels, init, keyed.generator(seed, "adapt/init"))
    if ranks().main:
        (work.folder / "widen.txt").write_text(f"{report}\n")
    if any(adapt.detail_lag):
        network.give_detail_time()
    if adapt.lora_rank:
        seeded(seed, "adapt/lora")  # peft draws A from the global generator
        add_lora(network, lora_of(family, adapt.lora_rank))
    roles = ("base_latents", "detail_latents")
    train_network(
        work,
        "adaptation",
        network,
        roles,
        train=adapt.train,
        flow=flow,
        dropout=class_dropout,
        seed=seed,
        adapt_config=adapt,
        merge=bool(adapt.lora_rank),
    )


def training_flops(network: nn.Module, forward: Callable[[], torch.Tensor]) -> int:
    """FLOPs of a training step, forward and backward."""
    flops, _ = count_flops(lambda: forward().sum().backward())
    network.zero_grad()
    return flops


def dit_flops(network: Any) -> int:
    """FLOPs of a training step of a DiT on one sample."""
    c = network.config
    x = torch.zeros(1, c.in_channels, c.input_size, c.input_size)
    t = torch.zeros((1, 2) if c.get("detail_time") else 1)
    return training_flops(network, lambda: network(x, t, torch.zeros(1, dtype=torch.long)))


def adaptation_flops(
    base: Any, adapt: AdaptConfig, channels: int, family: str = "lightning"
) -> int:
    """FLOPs of a training step, on one sample, of an adaptation of a base network to `channels`
    channels of detail: of a copy whose weights take no memory."""

    def widened() -> Any:
        network = type(base)(**base.config)
        widen_base(network, channels)
        if any(adapt.detail_lag):
            network.give_detail_time()
        if adapt.lora_rank:
            add_lora(network, lora_of(family, adapt.lora_rank))
        return network

    with FakeTensorMode():
        return dit_flops(imagine(widened))


def matched(train: TrainConfig, adaptation: int, own: int) -> TrainConfig:
    """An adaptation's training config with as many steps as take its FLOPs: both are of a step on
    one sample, the batch is the same."""
    return replace(train, steps=max(1, round(train.steps * adaptation / own)), snapshots=())


def further_terms(adapt: AdaptConfig) -> AdaptConfig | None:
    """What a control's loss has of the adaptation's beside Eq. 13, so that they differ in the
    method alone; None where there is nothing."""
    if not adapt.cosine_weight and not adapt.min_snr_gamma:
        return None
    return replace(adapt, detail_lag=(0.0, 0.0))


@together
def make_control(
    work: Work,
    adapt: AdaptConfig,
    flow: FlowConfig,
    class_dropout: float,
    seed: int,
    detail_channels: int,
    family: str = "lightning",
) -> None:
    """Train the base network for as many more FLOPs as an adaptation to `detail_channels` takes,
    with its optimizer settings, on its crops."""
    network = FAMILIES[family].load(work.inputs["base_dit"] / MODEL)
    taken = adaptation_flops(network, adapt, detail_channels, family)
    train_network(
        work,
        "control",
        network,
        ("base_latents",),
        train=matched(adapt.train, taken, dit_flops(network)),
        flow=flow,
        dropout=class_dropout,
        seed=seed,
        adapt_config=further_terms(adapt),
        train_crops=adapt.train_crops,
    )
