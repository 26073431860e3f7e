"""What every stage of a run takes of a GPU's memory, counted on its networks without weights."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import nn

from davae.core.experiment import DetailConfig, Experiment, TrainConfig
from davae.measure.imagined import footprint, imagine, imagined_gpu, recomputing, weights
from davae.method.latent import join
from davae.method.vae_loss import ReconstructionLoss, hinge_loss
from davae.models.adapt import adapt, add_lora, freeze_pretrained, lora_of
from davae.models.base_vae import encode_mode
from davae.models.davae import DAVAE
from davae.models.unweighted import (
    architecture,
    base_vae,
    davae_config,
    first,
    loss_networks,
    prompt_ids,
)
from davae.stages.autoencoder import ENCODED, ENCODED_BASE
from davae.stages.prompts import AT_ONCE as PROMPTS
from davae.stages.scoring import BATCH
from davae.stages.stage import Stage


@dataclass(frozen=True)
class Need:
    """Bytes that a stage takes of a GPU: fixed + count of_one, with `count` samples at once."""

    fixed: int
    """Weights; in training also Adam's moments and the average."""
    of_one: int
    most: int
    """Samples that it takes at once where they fit."""
    setting: str
    """The field of the runtime that takes fewer."""
    recompute: Callable[[], Need] | None = None
    """Counts the same with activations recomputed in the backward pass; None where none can be."""
    average: int = 0
    """Bytes of the fixed ones that are the average of the weights, which can be on the host."""
    gradients: int = 0
    """Bytes of the gradients, which are there already when the second of several parts starts."""

    @cached_property
    def recomputed(self) -> Need | None:
        """The need with activations recomputed."""
        return self.recompute() if self.recompute else None

    def bytes(self, count: int) -> int:
        """Bytes with `count` samples at once."""
        return self.first_part(count) + (self.gradients if count < self.most else 0)

    def first_part(self, count: int) -> int:
        """Bytes while there are no gradients yet."""
        return self.fixed + count * self.of_one

    def varied(self, recomputed: bool, on_host: bool) -> Need | None:
        """The need with activations recomputed, with the average on the host, or both; None where
        there is nothing to recompute or to move."""
        need = self.recomputed if recomputed else self
        if need is None or (on_host and not self.average):
            return None
        return replace(need, fixed=need.fixed - self.average) if on_host else need


ADAM, AVERAGE, GRADIENT = 8, 4, 4
"""Bytes a trained parameter."""


def need_of(e: Experiment, stage: Stage) -> Need | None:
    """What a stage of the experiment takes; None for those that have no rule: they run on the host
    or hold a judge's network, which is small beside the others."""
    rule = RULES.get(stage.name)
    return rule(natively(e) if native(stage) else e, stage) if rule else None


def native(stage: Stage) -> bool:
    """Whether a stage works on the base model's latents at the full resolution."""
    drawn_by = stage.upstream.get("dit") or stage.upstream.get("sampled")
    return stage.name.startswith("native") or (drawn_by is not None and native(drawn_by))


def natively(e: Experiment) -> Experiment:
    """The experiment whose base latents are of the full resolution."""
    return replace(e, data=replace(e.data, scale=1))


def like(stage: Stage) -> Hashable:
    """What the need of a stage depends on, within one experiment."""
    davae = stage.upstream["davae"].config if "davae" in stage.upstream else None
    roles = tuple(sorted((role, upstream.name) for role, upstream in stage.upstream.items()))
    return (
        stage.name,
        roles,
        repr(stage.config.get("davae")),
        stage.config.get("batch"),
        stage.config.get("scale"),
        repr(davae),
    )


def growing(
    run: Callable[[int], Any], held: int, most: int, setting: str, dtype: str = "bfloat16"
) -> Need:
    """The need of `run(count)` with products cast to `dtype`, from one and two samples; held: bytes
    that are there before."""
    one, two = (footprint(partial(run, count), dtype).peak for count in (1, 2))
    return Need(held + max(0, 2 * one - two), two - one, most, setting)


def inferring(make: Callable[[], Any], dtype: torch.dtype | None = None) -> Any:
    """A network without weights on the GPU that is not there, for inference."""
    return imagine(lambda: make().eval().requires_grad_(False), dtype)


def images(e: Experiment, count: int, px: int = 0) -> torch.Tensor:
    """Images of the experiment's size, or of `px`."""
    side = px or e.data.resolution_px
    return torch.empty(count, 3, side, side)


def latents(e: Experiment, count: int, detail: int) -> torch.Tensor:
    """Latents of the base channels and `detail` more."""
    return torch.empty(count, e.base_vae.latent_channels + detail, e.latent_size, e.latent_size)


def davae_of(e: Experiment, davae: DetailConfig) -> DAVAE:
    """The DA-VAE of a config."""
    model = DAVAE(**asdict(davae_config(replace(e, davae=davae))))
    if davae.freeze_encoder and davae.detail_channels:
        model.detail_encoder.requires_grad_(False)
    return model


def encoding_base(e: Experiment, stage: Stage) -> Need:
    """The base latents."""
    with imagined_gpu(), torch.no_grad():
        vae = inferring(lambda: base_vae(e))
        held, _ = weights(vae)
        run = lambda n: encode_mode(vae, images(e, n, e.base_px))  # noqa: E731
        return growing(run, held, ENCODED_BASE, "images_at_once")


def encoding_detail(e: Experiment, stage: Stage) -> Need:
    """The detail latents."""
    with imagined_gpu(), torch.no_grad():
        model = inferring(lambda: davae_of(e, e.davae))
        held, _ = weights(model)
        run = lambda n: model.detail_moments(images(e, n))[0]  # noqa: E731
        return growing(run, held, ENCODED, "images_at_once")


AT_ONCE = {"reconstruction": ENCODED, "baselines": BATCH}
"""Images that are decoded at once by the stages that have no batch of their own."""
DECODED = (*AT_ONCE, "samples")
"""Stages that decode what is judged, in float32 (Runtime.exact)."""


def decoding(e: Experiment, stage: Stage) -> Need:
    """Images from latents, by the DA-VAE or by the base VAE at its own size; a reconstruction is
    encoded first, which takes less."""
    most = AT_ONCE.get(stage.name) or stage.config["batch"]
    with imagined_gpu(), torch.no_grad():
        if stage.name == "baselines" or (stage.name == "samples" and "davae" not in stage.upstream):
            vae = inferring(lambda: base_vae(e))
            held, _ = weights(vae)
            run: Callable[[int], Any] = lambda n: vae.decode(latents(e, n, 0)).sample  # noqa: E731
        else:
            davae = decoder_config(e, stage)
            model = inferring(lambda: davae_of(e, davae))
            held, _ = weights(model)
            run = lambda n: model.decode_raw(latents(e, n, davae.detail_channels))  # noqa: E731
        return growing(run, held, most, "images_at_once", "float32")


def decoder_config(e: Experiment, stage: Stage) -> DetailConfig:
    """The DA-VAE that a stage decodes with."""
    return stage.upstream["davae"].config["davae"] if "davae" in stage.upstream else e.davae


def training(
    run: Callable[[int], Any], networks: tuple[nn.Module, ...], config: TrainConfig,
    recompute: Any = None,
) -> Need:  # fmt: skip
    """The need of a training whose loss of `count` samples is `run(count)`; recompute: the network
    whose blocks can be recomputed."""
    held, trained = weights(*networks)
    # gradients are not there yet at the peak of the first part: they fill up as activations go
    average = AVERAGE * trained if config.ema_decay else 0
    held += ADAM * trained + average
    beside: dict[str, Any] = {"average": average, "gradients": GRADIENT * trained}
    whole = replace(growing(run, held, config.batch_size, "micro_batch"), **beside)
    if recompute is None:
        return whole

    def less() -> Need:
        with imagined_gpu(), recomputing(recompute):
            return replace(growing(run, held, config.batch_size, "micro_batch"), **beside)

    return replace(whole, recompute=less)


def training_davae(e: Experiment, stage: Stage) -> Need:
    """Eq. 6, its perceptual and adversarial terms among it."""
    config: DetailConfig = stage.config["davae"]
    with imagined_gpu():
        model = imagine(lambda: davae_of(e, config))
        perceptual, discriminator = imagined_losses(config)
        losses = ReconstructionLoss(
            l1=config.l1_weight, l2=config.l2_weight, haar=config.haar_weight,
            pyramid=config.pyramid_weight, lpips=config.lpips_weight,
            convnext=config.convnext_weight, perceptual=perceptual,
        )  # fmt: skip

        def run(count: int) -> Any:
            x, z = images(e, count), latents(e, count, 0)
            mean, logvar = (part.float() for part in model.detail_moments(x))
            detail = mean + (0.5 * logvar).exp() * torch.empty_like(mean)
            rebuilt = model.decode_raw(join(z, detail)).float()
            kept = [losses.terms(rebuilt, x), mean, logvar]
            if discriminator is not None:
                fooled = discriminator.frozen(rebuilt)
                told = hinge_loss(discriminator(x), discriminator(rebuilt.detach()))
                kept += [fooled, told]
            return kept

        others = [*perceptual.values(), *([discriminator] if discriminator is not None else [])]
        return training(run, (model, *others), config.train, model)


def imagined_losses(config: DetailConfig) -> tuple[dict[str, Any], Any]:
    """The networks of the loss on the GPU that is not there."""
    found: list[Any] = []

    def make() -> nn.ModuleList:
        found.extend(loss_networks(config))
        return nn.ModuleList(network for network in (*found[0].values(), found[1]) if network)

    imagine(make)
    return found[0], found[1]


def conditions(e: Experiment, count: int, channels: int) -> dict[str, torch.Tensor]:
    """The arguments of a forward of the transformer, on the GPU."""
    given = architecture(e).inputs(count, channels, e.latent_size)
    return {name: value.to("cuda") for name, value in given.items()}


def transformer(e: Experiment, detail: int) -> Any:
    """The transformer, widened by `detail` channels."""
    network: Any = architecture(e).build()
    if detail:
        adapt(network, detail)
    return network


def training_dit(e: Experiment, stage: Stage) -> Need:
    """The class-conditional transformer, widened or, as the control, as it is."""
    detail = 0 if stage.name in ("control", "native") else e.davae.detail_channels
    channels = e.base_vae.latent_channels + detail
    with imagined_gpu():
        network = imagine(lambda: with_adapters(e, transformer(e, detail), stage))
        run = lambda n: error(network(**conditions(e, n, channels)))  # noqa: E731
        return training(run, (network,), e.adapt.train)


def with_adapters(e: Experiment, network: Any, stage: Stage) -> Any:
    """The network with the adapters that the adaptation has."""
    if e.adapt.lora_rank and stage.name == "adapted":
        add_lora(network, lora_of(e.base_dit.family, e.adapt.lora_rank))
    return network


def error(output: Any) -> torch.Tensor:
    """A loss of what a transformer gives."""
    return first(output).float().square().mean()


def text_trained(e: Experiment, detail: int) -> Any:
    """The pipeline's transformer, what is pretrained frozen in bfloat16, adapters in float32."""
    network = transformer(e, detail)
    network.to(torch.bfloat16)
    if e.adapt.lora_rank:
        add_lora(network, lora_of(e.base_dit.family, e.adapt.lora_rank))
    else:
        freeze_pretrained(network)
    for parameter in network.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return network


def training_text(e: Experiment, stage: Stage) -> Need:
    """The pipeline's transformer with adapters, text encoders beside it, the VAE on the host."""
    detail = e.davae.detail_channels if stage.name == "text_adapted" else 0
    channels = e.base_vae.latent_channels + detail
    with imagined_gpu():
        network = imagine(lambda: text_trained(e, detail))
        run = lambda n: error(network(**conditions(e, n, channels)))  # noqa: E731
        told = () if e.adapt.stored_prompts else (text_encoders(e),)
        return training(run, (network, *told), e.adapt.train, network)


def encoding_prompts(e: Experiment, stage: Stage) -> Need:
    """The text encoders, the rest of the pipeline beside them."""
    arch, half = architecture(e), torch.bfloat16
    with imagined_gpu(), torch.no_grad():
        encoders = text_encoders(e)
        rest = inferring(lambda: nn.ModuleList([transformer(e, 0), base_vae(e)]), half)
        held, _ = weights(encoders, rest)
        run = lambda n: [x(prompt_ids(x, arch, n)) for x in encoders]  # noqa: E731
        return growing(run, held, PROMPTS, "images_at_once")


def text_encoders(e: Experiment) -> Any:
    """Those of the pipeline, in bfloat16."""
    return inferring(lambda: nn.ModuleList(architecture(e).text_encoders()), torch.bfloat16)


def sampling(e: Experiment, stage: Stage) -> Need:
    """Forwards of the class-conditional transformer with guidance as a doubled batch."""
    detail = e.davae.detail_channels if stage.upstream["dit"].name == "adapted" else 0
    channels, copies = e.base_vae.latent_channels + detail, architecture(e).forwards_a_step
    with imagined_gpu(), torch.no_grad():
        network = imagine(lambda: transformer(e, detail))
        held, _ = weights(network)
        run = lambda n: network(**conditions(e, copies * n, channels))  # noqa: E731
        return growing(run, held, e.sample.batch_size, "images_at_once")


def sampling_text(e: Experiment, stage: Stage) -> Need:
    """The whole pipeline: forwards with guidance, then the decoder."""
    detail, half = e.davae.detail_channels if "adapted" in stage.upstream else 0, torch.bfloat16
    channels, copies = e.base_vae.latent_channels + detail, architecture(e).forwards_a_step
    with imagined_gpu(), torch.no_grad():
        network = inferring(lambda: transformer(e, detail), half)
        vae = inferring(lambda: davae_of(e, e.davae) if detail else base_vae(e), half)
        held, _ = weights(network, vae, text_encoders(e))

        def denoise(n: int) -> Any:
            given = conditions(e, copies * n, channels)
            return network(**{name: value.to(half) for name, value in given.items()})

        def decode(n: int) -> Any:
            return vae.decode(latents(e, n, detail).to(half)).sample

        most = e.sample.batch_size
        needs = [
            growing(denoise, held, most, "images_at_once"),
            growing(
                decode, held, most, "images_at_once", dtype="float32"
            ),  # as it is, nothing cast
        ]
        return max(needs, key=lambda need: need.bytes(need.most))


RULES: dict[str, Callable[[Experiment, Stage], Need]] = {
    "base_latents": encoding_base,
    "detail_latents": encoding_detail,
    "davae": training_davae,
    "adapted": training_dit,
    "control": training_dit,
    "native": training_dit,
    "native_latents": encoding_base,
    "prompts": encoding_prompts,
    "text_adapted": training_text,
    "text_tuned": training_text,
    "sampled": sampling,
    "samples": decoding,
    "text_samples": sampling_text,
    "reconstruction": decoding,
    "baselines": decoding,
}
