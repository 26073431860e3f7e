"""What `davae convert` is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class ConvertOptions:
    """Convert a checkpoint into a folder for `from_pretrained`, or such a folder back into public
    naming.

    From a file: DA-VAE (also with the older names dc., dc_down, dc_up), VA-VAE and other LDM
    autoencoders, LightningDiT. The kind of network and its config are inferred from names and
    shapes; what these do not show is an option. Only tensors are read: a pickled object is refused,
    and every key is accounted for.

    From a folder of davae (DA-VAE, DiT) or of diffusers (AutoencoderKL): --out FILE.safetensors
    gets the public names, from which this command makes the same folder again.

    Examples:
      davae convert davae_f32c128.ckpt --out weights/davae
      davae convert vavae.pt --latent-stats latents_stats.pt --out weights/vavae
      davae convert lightningdit_xl.pt --out weights/lightningdit_xl
      davae convert weights/davae --out davae_public.safetensors
    """

    source: Annotated[Path, tyro.conf.Positional]
    """A .safetensors, .pt, .pth or .ckpt file, or a folder."""
    out: Path
    """The folder, or from a folder the .safetensors file, to write; it must not exist yet."""
    num_heads: int | None = None
    """Attention heads of a DiT whose file has neither rotary tables nor qk-norm."""
    detail_channels: int = 0
    """Of a DiT: how many of its channels, at the end, are detail."""
    norm_num_groups: int = 32
    """Groups of an autoencoder's GroupNorm layers."""
    scaling_factor: float = 1.0
    """Scaling factor of the base latent, which these checkpoints do not carry."""
    shift_factor: float = 0.0
    """Shift factor of the base latent."""
    clamp_base: bool = False
    """Of a DA-VAE: clamp the reduced image to [-1, 1] (the SD3.5 variant)."""
    channel_order: Literal["base_first", "detail_first"] = "base_first"
    """Of a DA-VAE's latent in the file: [base | detail] (ImageNet), or [detail | base] (the SD3.5
    variant)."""
    latent_stats: Path | None = None
    """Of a VA-VAE: a file with mean and std by channel, which are folded into its 1x1 convolutions,
    so that its latent comes out normalised as LightningDiT takes it."""
