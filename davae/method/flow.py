"""Flow matching with t = 1 at data: the path x_t = t x_1 + (1 - t) noise, its times, and the loss
(Eq. 13)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from davae.method.latent import split


def interpolate(
    data: torch.Tensor, noise: torch.Tensor, t: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """(x_t, u) for data and noise [B, ...] and t [B] in [0, 1]."""
    t = t.view(-1, *[1] * (data.ndim - 1))
    return t * data + (1 - t) * noise, data - noise


def logit_normal(normal: torch.Tensor, mean: float, std: float) -> torch.Tensor:
    """t = sigmoid(mean + std normal) in (0, 1)."""
    return torch.sigmoid(mean + std * normal)


def draw_time(normal: torch.Tensor, mean: float, std: float, shift: float) -> torch.Tensor:
    """t of training from standard normal numbers: logit-normal, then shifted."""
    t = logit_normal(normal, mean, std)
    return t if shift == 1.0 else shift_time(t, shift)


def shift_time(t: torch.Tensor, shift: float) -> torch.Tensor:
    """t' = s t / (1 + (s - 1) t); s < 1 spends more steps near noise."""
    return shift * t / (1 + (shift - 1) * t)


def lagged_times(t: torch.Tensor, lag: torch.Tensor | float) -> torch.Tensor:
    """Times of base and detail [..., 2] where the detail lags `lag` >= 0 behind the base, from one
    time t [...] in [0, 1] of the whole: with s = 1 - (1 + lag) (1 - t), base min(s + lag, 1) and
    detail max(s, 0). Both run from 0 to 1; the base is never the noisier of the two."""
    s = 1 - (1 + lag) * (1 - t)
    return torch.stack([(s + lag).clamp(0, 1), s.clamp(0, 1)], -1)


def by_group(times: torch.Tensor, base_channels: int, like: torch.Tensor) -> torch.Tensor:
    """Times of base and detail [B, 2] or [2] as [B or 1, C + D, 1, 1], for latents like
    [B, C + D, h, w]."""
    pair = times.reshape(-1, 2)
    detail_channels = like.shape[1] - base_channels
    parts = (pair[:, :1].expand(-1, base_channels), pair[:, 1:].expand(-1, detail_channels))
    return torch.cat(parts, 1)[..., None, None]


def interpolate_lagged(
    data: torch.Tensor, noise: torch.Tensor, times: torch.Tensor, base_channels: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """`interpolate` for latents [B, C + D, h, w] with times of base and detail [B, 2]."""
    t = by_group(times, base_channels, data)
    return t * data + (1 - t) * noise, data - noise


@dataclass(frozen=True)
class FlowLoss:
    """Eq. 13 and its parts, each part the mean over its own elements."""

    loss: torch.Tensor
    base: torch.Tensor
    detail: torch.Tensor


def min_snr_weight(t: torch.Tensor, gamma: float) -> torch.Tensor:
    """Weight of the squared velocity error at t: s^2 min((1 - s) / s, gamma) with s = 1 - t.

    s^2 makes it the error of the estimated data x_t - s v; the rest is min-SNR (Hang et al. 2023),
    as in the authors' SD3.5 training, which is not in the paper's Eq. 13."""
    noise = 1 - t
    return noise.square() * torch.minimum(t / noise.clamp_min(1e-12), torch.full_like(t, gamma))


def structured_loss(
    prediction: torch.Tensor,
    target: torch.Tensor,
    base_channels: int,
    detail_weight: float,
    sample_weight: torch.Tensor | None = None,
) -> FlowLoss:
    """(|u^ - u|^2 + w |u_d^ - u_d|^2) / (|B| + w |R|), |B|, |R| the element counts (Eq. 13).

    prediction, target: [B, C + D, h, w]. With D = 0 it is the plain mean squared error and
    `detail` is 0. sample_weight [B] multiplies the errors of the loss and leaves the denominator
    and the parts as they are.
    """
    error = (prediction - target).square()
    base, detail = split(error, base_channels)
    if sample_weight is None:
        total = base.sum() + detail_weight * detail.sum()
    else:
        sums = base.flatten(1).sum(1) + detail_weight * detail.flatten(1).sum(1)
        total = (sample_weight * sums).sum()
    loss = total / (base.numel() + detail_weight * detail.numel())
    return FlowLoss(loss, base.mean(), detail.mean() if detail.numel() else detail.sum())


def cosine_loss(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """mean(1 - cos(u^, u)) over positions, all channels together: in the authors' code, not in Eq.
    13."""
    return (1 - F.cosine_similarity(prediction, target, dim=1)).mean()
