"""The adversarial terms."""

import pytest
import torch

from davae.method.vae_loss import (
    hinge_loss,
)
from davae.models.discriminator import PatchDiscriminator


def test_the_adversarial_terms_reach_their_own_parameters_only():
    torch.manual_seed(0)
    judge = PatchDiscriminator(8)
    image = torch.randn(2, 3, 64, 64, requires_grad=True)
    (-judge.frozen(image).mean()).backward()
    assert image.grad is not None
    assert all(p.grad is None for p in judge.parameters())
    torch.testing.assert_close(judge.eval().frozen(image), judge(image))
    assert hinge_loss(torch.tensor([2.0, 0.0]), torch.tensor([-3.0, 1.0])).item() == pytest.approx(
        (0.5 + 1.0) / 2
    )
