"""Contrastive training."""

import pytest
import torch
import torch.nn.functional as F

from davae.train.clip import contrastive_loss


def test_contrastive_loss_closed_form():
    rows = F.normalize(torch.eye(4), dim=1)
    expected = -torch.log_softmax(torch.tensor([2.0, 0.0, 0.0, 0.0]), 0)[0]
    assert contrastive_loss(rows, rows, torch.tensor(2.0)) == pytest.approx(float(expected))
