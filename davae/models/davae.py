"""DA-VAE: a frozen base encoder at R px, a detail encoder at s R px, and one decoder (Eq. 1).

The latent is [base | detail], C + D channels on the base's own token grid. Encoder and decoder
bodies are diffusers' `Encoder` and `Decoder` with leaner forwards (`streamline`), tapped before the
encoder's output convolution and after the decoder's input convolution.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import Decoder, DecoderOutput, Encoder
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.modeling_utils import ModelMixin
from torch import nn

from davae.core.experiment import DetailConfig
from davae.data.pixels import downsample
from davae.method.latent import join, split
from davae.models.davae_blocks import LOGVAR_RANGE, DownBlock, StructuredPosterior, UpBlock
from davae.models.streamline import streamline


@dataclass(frozen=True)
class DAVAEConfig:
    """The constructor's arguments of `DAVAE`, one to one."""

    in_channels: int = 3
    out_channels: int = 3
    latent_channels: int = 16
    """C + D."""
    detail_channels: int = 12
    """D; 0: a decoder of the base latent to s R px, without a detail branch."""
    block_out_channels: tuple[int, ...] = (32, 64, 128, 128)
    """Widths by level of the total factor s f: the base VAE's, then one for each halving by s."""
    layers_per_block: int = 1
    norm_num_groups: int = 32
    scale: int = 2
    """s, a power of 2."""
    level_attention: bool = False
    """Attention in the last level (VA-VAE)."""
    mid_attention: bool = False
    use_quant_conv: bool = True
    """Whether the base encoder has a 1x1 quant conv."""
    antialias: bool = False
    """Of the bicubic reduction to the base image."""
    clamp_base: bool = False
    """Clamp the reduced image to [-1, 1] (the SD3.5 variant)."""
    detail_dropout: float = 0.1
    """Probability that training drops a sample's whole detail at the decoder's input."""
    detail_first: bool = False
    """Whether the up block's shortcut repeats the detail channels before the base's, as in the
    authors' SD3.5 checkpoints, whose latent is [detail | base]; ours is [base | detail] in either
    case."""
    scaling_factor: float = 1.0
    shift_factor: float = 0.0
    force_upcast: bool = False

    @property
    def base_channels(self) -> int:
        """C."""
        return self.latent_channels - self.detail_channels

    @property
    def base_widths(self) -> tuple[int, ...]:
        """Widths of the levels of the base VAE, whose factor is f."""
        return tuple(self.block_out_channels[: -int(math.log2(self.scale))])

    @classmethod
    def of_experiment(
        cls, vae: AutoencoderKL, davae: DetailConfig, scale: int, antialias: bool
    ) -> DAVAEConfig:
        """The config of an experiment's DA-VAE over its base VAE."""
        return cls.of_base(
            vae,
            davae.detail_channels,
            scale=scale,
            antialias=antialias,
            clamp_base=davae.clamp_base,
            detail_dropout=davae.detail_dropout,
        )

    @classmethod
    def of_base(cls, vae: AutoencoderKL, detail_channels: int, **changes: Any) -> DAVAEConfig:
        """The config that fits a base VAE; `changes` override any field."""
        widths = tuple(vae.config.block_out_channels)
        scale = int(changes.get("scale", 2))
        fields: dict[str, Any] = {
            "latent_channels": vae.config.latent_channels + detail_channels,
            "detail_channels": detail_channels,
            "block_out_channels": widths + (widths[-1],) * int(math.log2(scale)),
            "layers_per_block": vae.config.layers_per_block,
            "norm_num_groups": vae.config.norm_num_groups,
            "level_attention": vae.config.down_block_types[-1].startswith("Attn"),
            "mid_attention": vae.config.mid_block_add_attention,
            "use_quant_conv": vae.config.use_quant_conv,
            "scaling_factor": vae.config.scaling_factor,
            "shift_factor": vae.config.shift_factor or 0.0,
        }
        return cls(**{**fields, **changes})


class DAVAE(ModelMixin, ConfigMixin):
    """The autoencoder I_hr <-> [z | z_d]; constructed as `DAVAE(**asdict(DAVAEConfig(...)))`.

    The buffers `detail_mean` and `detail_std` [D] normalise the detail inside `encode` and
    `decode`; they are the identity until `set_detail_statistics` is called.
    """

    _supports_gradient_checkpointing = True

    @register_to_config
    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        latent_channels: int = 16,
        detail_channels: int = 12,
        block_out_channels: tuple[int, ...] = (32, 64, 128, 128),
        layers_per_block: int = 1,
        norm_num_groups: int = 32,
        scale: int = 2,
        level_attention: bool = False,
        mid_attention: bool = False,
        use_quant_conv: bool = True,
        antialias: bool = False,
        clamp_base: bool = False,
        detail_dropout: float = 0.1,
        detail_first: bool = False,
        scaling_factor: float = 1.0,
        shift_factor: float = 0.0,
        force_upcast: bool = False,
    ):
        super().__init__()
        config = DAVAEConfig(**{k: self.config[k] for k in DAVAEConfig.__dataclass_fields__})
        check_davae(config)
        base, widths = config.base_channels, config.base_widths
        self.base_encoder = _encoder(config, base)
        self.base_quant_conv = nn.Conv2d(2 * base, 2 * base, 1) if use_quant_conv else nn.Identity()
        if detail_channels:
            self.detail_encoder = _encoder(config, base)
            self.detail_encoder.conv_out = nn.Identity()
            self.detail_down = DownBlock(widths[-1], 2 * detail_channels, scale)
        self.detail_up = UpBlock(
            latent_channels, widths[-1], scale, detail_channels if detail_first else 0
        )
        self.decoder = _decoder(config, base)
        self.decoder.conv_in = nn.Identity()
        streamline(self)
        self.register_buffer("detail_mean", torch.zeros(detail_channels))
        self.register_buffer("detail_std", torch.ones(detail_channels))
        self.freeze_base()

    def freeze_base(self) -> None:
        """The base path takes no gradient."""
        self.base_encoder.requires_grad_(False)
        self.base_quant_conv.requires_grad_(False)

    @property
    def base_channels(self) -> int:
        """C."""
        return self.config.latent_channels - self.config.detail_channels

    def base_image(self, images: torch.Tensor) -> torch.Tensor:
        """I of I_hr: [B, 3, s R, s R] -> [B, 3, R, R], bicubic."""
        small = downsample(images, self.config.scale, self.config.antialias)
        return small.clamp(-1, 1) if self.config.clamp_base else small

    @torch.no_grad()
    def encode_base(self, images: torch.Tensor) -> torch.Tensor:
        """z: the base posterior's mode, unscaled: [B, 3, s R, s R] -> [B, C, h, w]."""
        moments = self.base_quant_conv(self.base_encoder(self.base_image(images)))
        return moments[:, : self.base_channels]

    def detail_moments(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(mean, logvar) of z_d before normalisation, each [B, D, h, w]; logvar in [-30, 20]."""
        if not self.config.detail_channels:
            empty = images.new_zeros(images.shape[0], *self.detail_shape(images.shape[2:]))
            return empty, empty
        mean, logvar = self.detail_down(self.detail_encoder(images)).chunk(2, 1)
        return mean, logvar.clamp(*LOGVAR_RANGE)

    def detail_shape(self, sides: Sequence[int]) -> tuple[int, int, int]:
        """(D, h, w) of images whose sides are (s R, s R) px."""
        factor = 2 ** (len(self.config.block_out_channels) - 1)
        return self.config.detail_channels, sides[0] // factor, sides[1] // factor

    def encode(self, x: torch.Tensor, return_dict: bool = True) -> AutoencoderKLOutput | tuple:
        """Images [B, 3, s R, s R] in [-1, 1] -> `.latent_dist`, a `StructuredPosterior`."""
        factor = 2 ** (len(self.config.block_out_channels) - 1)
        if x.ndim != 4 or x.shape[-1] % factor or x.shape[-2] % factor:
            raise ValueError(
                f"images have shape {list(x.shape)}; sides must be multiples of {factor}"
            )
        mean, logvar = self.detail_moments(x)
        std = self.detail_std[:, None, None]
        normed = (mean - self.detail_mean[:, None, None]) / std
        posterior = StructuredPosterior(self.encode_base(x), normed, logvar - 2 * std.log())
        return AutoencoderKLOutput(latent_dist=posterior) if return_dict else (posterior,)

    def decode_raw(self, z: torch.Tensor) -> torch.Tensor:
        """Decode [z | z_d] whose detail is not normalised: [B, C + D, h, w] -> [B, 3, s R, s R]."""
        return self.decoder(self.detail_up(z))

    def decode(
        self, z: torch.Tensor, return_dict: bool = True, generator: torch.Generator | None = None
    ) -> DecoderOutput | tuple:
        """Unscaled latent [B, C + D, h, w] -> `.sample`, images [B, 3, s R, s R], about [-1, 1].

        `generator` is accepted because diffusers' pipelines pass one; decoding draws nothing.
        """
        base, detail = split(z, self.base_channels)
        detail = detail * self.detail_std[:, None, None] + self.detail_mean[:, None, None]
        image = self.decode_raw(join(base, detail))
        return DecoderOutput(sample=image) if return_dict else (image,)

    def drop_detail(self, z_detail: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        """Whole-sample dropout: keep [B] of 0 and 1; survivors are scaled by 1 / (1 - p)."""
        return z_detail * (keep.view(-1, 1, 1, 1) / (1 - self.config.detail_dropout))

    def zero_detail(self, z: torch.Tensor) -> torch.Tensor:
        """The latent whose detail, as the decoder sees it, is 0 (S2; samples at step 0)."""
        zero = -(self.detail_mean / self.detail_std)[None, :, None, None]
        grid = zero.expand(z.shape[0], -1, *z.shape[-2:])
        return join(split(z, self.base_channels)[0], grid)

    def set_detail_statistics(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        """Make the encoded detail look like the base latent to a diffusers pipeline.

        mean, std [D] are the raw detail's. After this `(z - shift_factor) * scaling_factor`, which
        pipelines and trainers apply to all channels, gives detail of mean 0 and deviation 1.
        """
        if not bool((std > 0).all()):
            raise ValueError(
                f"a detail channel is constant (std {std.min().item()}); the detail has collapsed"
            )
        scale = std * self.config.scaling_factor
        self.detail_std.copy_(scale)
        self.detail_mean.copy_(mean - self.config.shift_factor * scale)

    def load_base(self, vae: AutoencoderKL, init_detail: bool) -> None:
        """Copy the base encoder; with `init_detail` also start the detail encoder and the decoder
        from it."""
        encoder = vae.encoder.state_dict()
        self.base_encoder.load_state_dict(encoder)
        if self.config.use_quant_conv:
            self.base_quant_conv.load_state_dict(vae.quant_conv.state_dict())
        if not init_detail:
            return
        if self.config.detail_channels:
            body = {k: v for k, v in encoder.items() if not k.startswith("conv_out.")}
            self.detail_encoder.load_state_dict(body)
        body = {k: v for k, v in vae.decoder.state_dict().items() if not k.startswith("conv_in.")}
        self.decoder.load_state_dict(body)

    def of_detail(self) -> set[str]:
        """The names of the weights whose shape depends on the number of detail channels."""
        own = self.state_dict()
        config, more = dict(self.config), self.config.detail_channels
        wide = {name: config[name] + more for name in ("latent_channels", "detail_channels")}
        with torch.device("meta"):
            wider = type(self)(**{**config, **wide})
        other = wider.state_dict()
        return {name for name, value in own.items() if other[name].shape != value.shape}

    def load_matching(self, other: DAVAE, fresh_detail: bool = False) -> list[str]:
        """Copy every weight that has the same name and shape in `other`; returns the names of
        those that stay as they are: with other detail channels, the layers that read or write
        them, and with `fresh_detail` always."""
        own, theirs = self.state_dict(), other.state_dict()
        same = {k for k, v in own.items() if k in theirs and theirs[k].shape == v.shape}
        if fresh_detail:
            same -= self.of_detail()
        self.load_state_dict({**own, **{k: theirs[k] for k in same}})
        return sorted(own.keys() - same)


def _encoder(config: DAVAEConfig, channels: int) -> Encoder:
    levels = len(config.base_widths)
    last = "AttnDownEncoderBlock2D" if config.level_attention else "DownEncoderBlock2D"
    return Encoder(
        config.in_channels,
        channels,
        ("DownEncoderBlock2D",) * (levels - 1) + (last,),
        config.base_widths,
        config.layers_per_block,
        config.norm_num_groups,
        double_z=True,
        mid_block_add_attention=config.mid_attention,
    )


def _decoder(config: DAVAEConfig, channels: int) -> Decoder:
    levels = len(config.base_widths)
    first = "AttnUpDecoderBlock2D" if config.level_attention else "UpDecoderBlock2D"
    return Decoder(
        channels,
        config.out_channels,
        (first,) + ("UpDecoderBlock2D",) * (levels - 1),
        config.base_widths,
        config.layers_per_block,
        config.norm_num_groups,
        mid_block_add_attention=config.mid_attention,
    )


def check_davae(config: DAVAEConfig) -> None:
    """Raise ValueError for sizes that do not fit together."""
    if config.scale < 2 or config.scale & (config.scale - 1):
        raise ValueError(f"scale is {config.scale}; it must be 2, 4, 8, ...")
    if len(config.block_out_channels) <= int(math.log2(config.scale)):
        raise ValueError(
            f"block_out_channels {config.block_out_channels} has no level left for scale "
            f"{config.scale}"
        )
    if not 0 <= config.detail_channels < config.latent_channels:
        conflict = (
            f"detail_channels {config.detail_channels} of latent_channels {config.latent_channels}"
        )
        raise ValueError(f"{conflict}: at least one base channel must remain")
