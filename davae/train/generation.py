"""Generation-aware alignment (GRACE, 2026): the frozen base transformer should see in the
compressed latent what it sees in the latent of the full-resolution image."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import nn

from davae.method.flow import interpolate
from davae.method.latent import join
from davae.models.base_vae import normalise
from davae.models.dit import DiT

SHARE = 4
"""The first 1/SHARE of the blocks are compared, one at least."""


class GenerationAlignment(nn.Module):
    """Sum over layers of 1 - cosine of features, mean over tokens.

    Both latents are noised at one time by noises of their own. The compressed one enters through
    the frozen embedder and a layer for the detail that starts at zero; its features are enlarged to
    the full grid and pass a residual layer that starts at zero."""

    def __init__(self, dit: DiT, vae: AutoencoderKL, detail_channels: int, scale: int):
        super().__init__()
        native = type(dit)(**{**dit.config, "input_size": dit.config.input_size * scale})
        native.load_state_dict(dit.state_dict())
        frozen = [
            copy.deepcopy(network).eval().requires_grad_(False) for network in (dit, native, vae)
        ]
        self.frozen: list[Any] = frozen  # a list: they are not trained, nor saved
        self.scale, self.layers = scale, max(1, len(dit.blocks) // SHARE)
        width, patch = dit.config.hidden_size, dit.config.patch_size
        self.embed = nn.Conv2d(detail_channels, width, patch, patch, bias=False)
        self.residual = nn.ModuleList(nn.Linear(width, width) for _ in range(self.layers))
        for layer in (self.embed, *self.residual):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def to(self, *args: Any, **kwargs: Any) -> GenerationAlignment:
        """Move the frozen networks as well."""
        self.frozen = [network.to(*args, **kwargs) for network in self.frozen]
        return super().to(*args, **kwargs)

    def features(self, dit: Any, x: torch.Tensor, t: torch.Tensor, more: Any) -> list[torch.Tensor]:
        """The tokens [B, T, d] after each of the first layers, for no class."""
        tokens = dit.x_embedder(x) + dit.pos_embed + more
        null = torch.full((len(x),), dit.config.num_classes, device=x.device)
        condition = dit.embed_time(t) + dit.y_embedder(null)
        found = []
        for block in dit.blocks[: self.layers]:
            tokens = block(tokens, condition, dit.rope_cos, dit.rope_sin)
            found.append(tokens)
        return found

    def enlarged(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens of a square grid on one `scale` times as fine."""
        side = round(tokens.shape[1] ** 0.5)
        grid = tokens.transpose(1, 2).unflatten(2, (side, side))
        fine = F.interpolate(grid, scale_factor=self.scale, mode="bilinear", align_corners=False)
        return fine.flatten(2).transpose(1, 2)

    def forward(
        self,
        detail: torch.Tensor,
        base: torch.Tensor,
        images: torch.Tensor,
        t: torch.Tensor,
        noise: torch.Tensor,
        native_noise: torch.Tensor,
    ) -> torch.Tensor:
        """detail [B, D, h, w] and base [B, C, h, w] as the autoencoder has them; images
        [B, 3, H, W] in [-1, 1]; t [B]; noise [B, C + D, h, w] and [B, C, s h, s w]."""
        dit, native, vae = self.frozen
        with torch.no_grad():
            whole = normalise(vae.encode(images).latent_dist.mode().float(), vae.config)
            seen = self.features(native, interpolate(whole, native_noise, t)[0], t, 0.0)
        channels = base.shape[1]
        x = interpolate(join(normalise(base, vae.config), detail), noise, t)[0]
        more = self.embed(x[:, channels:]).flatten(2).transpose(1, 2)
        losses = []
        for own, layer, goal in zip(
            self.features(dit, x[:, :channels], t, more), self.residual, seen, strict=True
        ):
            fine = self.enlarged(own)
            losses.append(1 - F.cosine_similarity(fine + layer(fine), goal, dim=-1).mean())
        return torch.stack(losses).sum()
