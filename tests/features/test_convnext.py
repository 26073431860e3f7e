"""The perceptual term of class scores, without its weights."""

import pytest
import torch
from torch import nn

from davae.core.experiment import DetailConfig
from davae.features.convnext import MEAN, STD, ScoreDistance, load_convnext
from davae.method.vae_loss import ReconstructionLoss


def test_missing_weights_are_an_error_that_helps(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(ValueError, match=r"convnext_small-0c510722\.pth.*convnext_weight 0"):
        load_convnext()


def test_the_distance_is_of_the_scores_of_normalised_images():
    """On a classifier that takes the mean of each channel: uniform images keep theirs."""
    distance = ScoreDistance(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    colours = torch.tensor([[-1.0, 0.0, 1.0], [0.5, 0.5, 0.5]])
    images = colours[:, :, None, None].expand(2, 3, 64, 48)
    scores = ((colours + 1) / 2 - torch.tensor(MEAN)) / torch.tensor(STD)
    torch.testing.assert_close(distance.scores(images), scores)
    black = torch.full((2, 3, 64, 48), -1.0)
    expected = (scores + torch.tensor(MEAN) / torch.tensor(STD)).square().mean(1)
    torch.testing.assert_close(distance(images, black), expected)
    loss = ReconstructionLoss(l1=2.0, convnext=0.1, perceptual={"convnext": distance})
    terms = loss.terms(images, black)
    assert set(terms) == {"l1", "convnext"}
    total = 2.0 * (images + 1).abs().mean() + 0.1 * expected.mean()
    torch.testing.assert_close(loss.total(terms), total)


def test_only_the_reconstruction_has_a_gradient():
    distance = ScoreDistance(nn.Sequential(nn.Conv2d(3, 2, 1), nn.AdaptiveAvgPool2d(1)))
    image = torch.zeros(1, 3, 32, 32, requires_grad=True)
    distance(image, torch.ones(1, 3, 32, 32)).sum().backward()
    assert image.grad.abs().sum() > 0
    assert all(p.grad is None for p in distance.parameters())
    assert DetailConfig().convnext_weight == 0.0
