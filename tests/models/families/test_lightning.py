"""LightningDiT under guidance."""

from types import SimpleNamespace

import pytest
import torch

from davae.core.experiment import SampleConfig
from davae.models.families.lightning import guided
from tests.small_models import sample_dit


class Labelled:
    """A velocity that is its label, and -1 for the null label 9."""

    config = SimpleNamespace(num_classes=9)

    def __init__(self):
        self.sizes, self.times, self.embedded = [], [], 0

    def y_embedder(self, y):
        self.embedded += 1
        return torch.where(y == 9, -1.0, y.double())[:, None]

    def embed_time(self, t):
        self.times.append(tuple(t.shape))
        return t[:, None]

    def velocity(self, x, time, label):
        self.sizes.append(len(x))
        return label.expand_as(x)


def test_guidance_extrapolates_from_the_null_label_in_one_batch():
    dit, labels = Labelled(), torch.tensor([2, 5])
    x = torch.zeros(2, 3, dtype=torch.float64)
    v = guided(dit, labels, SampleConfig(guidance_scale=4.0, guidance_interval=(0.2, 1.0)))
    assert v(x, torch.tensor(0.5))[:, 0].tolist() == [-1 + 4 * 3, -1 + 4 * 6]
    assert v(x, torch.tensor(0.1))[:, 0].tolist() == [2, 5]
    assert dit.sizes == [4, 2]
    assert dit.embedded == 1  # not at every step
    assert dit.times == [(1,), (1,)]  # once for all samples
    assert guided(dit, labels, SampleConfig(guidance_scale=1.0))(x, torch.tensor(0.5))[
        :, 0
    ].tolist() == [2, 5]
    assert dit.sizes[-1] == 2


def test_sampling_integrates_the_guided_velocity():
    config = SampleConfig(num_inference_steps=3, guidance_scale=2.0, timestep_shift=0.5)
    end = sample_dit(Labelled(), torch.zeros(1, 1, dtype=torch.float64), torch.tensor([3]), config)
    assert end.item() == pytest.approx(-1 + 2 * 4)
