"""Small networks and shorthands that several tests share."""

from dataclasses import asdict

import torch
from torch import nn

from davae.core.experiment import BaseVAEConfig, FlowConfig
from davae.data.image_sets import ArrayImages
from davae.features.extract import extract
from davae.features.registry import open_extractor
from davae.models.adapt import adapt
from davae.models.base_vae import build_base_vae
from davae.models.davae import DAVAE, DAVAEConfig
from davae.models.dit import DiT, DiTConfig
from davae.models.families.lightning import guided
from davae.stages.samples import sample_latents
from davae.train.transformer import Denoiser, transformer_task

SMALL_VAE = BaseVAEConfig(block_out_channels=(8, 8, 16), norm_num_groups=4)


def small_base_vae():
    """An AutoencoderKL f4c4 of 16 channels at most."""
    torch.manual_seed(0)
    return build_base_vae(SMALL_VAE)


def small_davae(detail=12):
    """(DA-VAE over the small base VAE, six uint8 images of 64 px, their base latents)."""
    vae = small_base_vae()
    model = DAVAE(**asdict(DAVAEConfig.of_base(vae, detail)))
    model.load_base(vae, init_detail=True)
    images = torch.randint(0, 256, (6, 3, 64, 64), dtype=torch.uint8)
    return model, images, torch.randn(6, 4, 8, 8)


def small_dit(detail=0, **changes):
    """A DiT of width 48 on 8x8 latents of 4 base channels."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 48, "depth": 1, "num_heads": 4, **changes}
    dit = DiT(**asdict(DiTConfig(**sizes)))
    if detail:
        adapt(dit, detail)
    return dit


def without_zeros(dit, std=0.05):
    """The DiT with every parameter that is all 0 drawn anew."""
    for parameter in dit.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=std)
    return dit


def dit_task(dit, data, checks=None, adapt_config=None, name="a"):
    """The training of a DiT on a `LatentSet`, labels dropped at 0.1."""
    c = dit.config
    denoiser = Denoiser(
        dit, dit, c.in_channels - c.detail_channels, c.detail_channels, c.num_classes
    )
    return transformer_task(
        name,
        denoiser,
        data,
        checks or {},
        flow=FlowConfig(),
        dropout=0.1,
        seed=0,
        adapt=adapt_config,
    )


def sample_dit(dit, noise, labels, config):
    """Latents from noise under a `SampleConfig`."""
    with torch.no_grad():
        return sample_latents(guided(dit, labels, config), noise, config)


def effnet_features(images, input_px, blocks):
    """EfficientNet-Lite0's features [N, d] of uint8 images [N, 3, H, W]."""
    extractor = open_extractor(f"effnet_lite0:input_px={input_px},blocks={blocks}")
    return extract(extractor, ArrayImages("images", images))
