"""Small random models of diffusers' classes, and how each is run."""

import torch
from diffusers import (
    DiTTransformer2DModel,
    FluxPipeline,
    FluxTransformer2DModel,
    PixArtTransformer2DModel,
    SD3Transformer2DModel,
)
from torch import nn

from davae.models.adapt import (
    widened_layers,
)
from davae.models.dit import DiT

HEADS = {"num_attention_heads": 2, "attention_head_dim": 16, "num_layers": 2}


def sd3():
    return SD3Transformer2DModel(
        sample_size=8,
        patch_size=2,
        in_channels=4,
        out_channels=4,
        joint_attention_dim=32,
        caption_projection_dim=32,
        pooled_projection_dim=64,
        pos_embed_max_size=8,
        dual_attention_layers=(0,),
        qk_norm="rms_norm",
        **HEADS,
    )


def flux():
    return FluxTransformer2DModel(
        in_channels=16, joint_attention_dim=32, pooled_projection_dim=32, axes_dims_rope=(4, 4, 8),
        num_single_layers=1, **HEADS,
    )  # fmt: skip


def dit():
    return DiTTransformer2DModel(
        in_channels=4,
        out_channels=4,
        sample_size=8,
        patch_size=2,
        num_embeds_ada_norm=1000,
        **HEADS,
    )


def pixart(out_channels=4):
    return PixArtTransformer2DModel(
        in_channels=4,
        out_channels=out_channels,
        sample_size=8,
        patch_size=2,
        cross_attention_dim=32,
        caption_channels=32,
        use_additional_conditions=False,
        **HEADS,
    )


def lightning():
    return DiT(
        in_channels=4,
        input_size=8,
        patch_size=2,
        hidden_size=32,
        depth=2,
        num_heads=2,
        num_classes=10,
    )


def image_latent(channels, seed=0):
    return torch.randn(2, channels, 8, 8, generator=torch.Generator().manual_seed(seed))


def pack(latent):
    return FluxPipeline._pack_latents(latent, *latent.shape)


def unpack(packed):
    return FluxPipeline._unpack_latents(packed, 32, 32, 4)


def run(model, latent):
    """The model's output [2, channels, 8, 8] for a latent of that shape, all else fixed."""
    g = torch.Generator().manual_seed(1)
    text, t = torch.randn(2, 5, 32, generator=g), torch.tensor([0.3, 0.7])
    with torch.no_grad():
        if isinstance(model, FluxTransformer2DModel):
            pooled = torch.randn(2, 32, generator=g)
            ids = FluxPipeline._prepare_latent_image_ids(2, 4, 4, "cpu", torch.float32)
            out = model(pack(latent), text, pooled, t, ids, torch.zeros(5, 3), return_dict=False)[0]
            return unpack(out)
        if isinstance(model, SD3Transformer2DModel):
            pooled = torch.randn(2, 64, generator=g)
            return model(latent, text, pooled, t * 1000, return_dict=False)[0]
        steps = torch.tensor([300, 700])
        if isinstance(model, DiT):
            return model(latent, t, torch.tensor([1, 2]))
        if isinstance(model, DiTTransformer2DModel):
            return model(latent, steps, torch.tensor([1, 2]), return_dict=False)[0]
        return model(
            latent, text, steps, {"resolution": None, "aspect_ratio": None}, return_dict=False
        )[0]


MODELS = {"sd3": sd3, "flux": flux, "dit": dit, "pixart": pixart, "lightning": lightning}


def build(name):
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    return model


def randomise(model):
    g = torch.Generator().manual_seed(5)
    for name, parameter in widened_layers(model).items():
        if ".detail." in name:
            nn.init.normal_(parameter, std=0.1, generator=g)
