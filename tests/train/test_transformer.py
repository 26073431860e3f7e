"""Training a transformer."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from davae.core.experiment import AdaptConfig, FlowConfig
from davae.train.transformer import Denoiser, LatentSet, flow_loss, transformer_task
from tests.small_models import dit_task, small_dit, without_zeros


def at_samples(task, n, samples):
    """The terms of step n on the samples of these global indices."""
    return task.step(n, task.batch(n, samples))


def test_adaptation_weighs_the_detail_by_eq_12():
    dit = small_dit(12)
    data = LatentSet(torch.randn(20, 16, 8, 8), torch.arange(20) % 10)
    adapt = AdaptConfig(detail_warmup_steps=4, cosine_weight=0.0)
    task = dit_task(dit, data, {"heldout": data}, adapt)
    for n, w in ((0, 0.0), (2, 0.5), (4, 1.0)):
        terms = at_samples(task, n, [0, 1, 2])
        expected = (terms["base"] * 4 + w * terms["detail"] * 12) / (4 + w * 12)
        torch.testing.assert_close(terms["loss"], expected)
    cosine_task = dit_task(dit, data, {}, replace(adapt, cosine_weight=1.0))
    with_cosine, plain = at_samples(cosine_task, 2, [0, 1]), at_samples(task, 2, [0, 1])
    torch.testing.assert_close(with_cosine["loss"], plain["loss"] + with_cosine["cosine"])
    assert task.evaluate() == task.evaluate()


def test_min_snr_weighs_each_sample_in_the_step():
    """By hand: sigma^2 min((1 - sigma) / sigma, 5) with sigma = 1 - t, of each sample's error."""
    dit = without_zeros(small_dit(12))
    data = LatentSet(torch.randn(20, 16, 8, 8), torch.arange(20) % 10)
    adapt = AdaptConfig(detail_warmup_steps=4, min_snr_gamma=5.0)
    task = dit_task(dit, data, {}, adapt)
    x1, noise, t, condition = task.batch(2, [0, 1, 2])
    sigma = 1 - t
    weight = sigma**2 * torch.minimum((1 - sigma) / sigma, torch.tensor(5.0))
    x_t = t[:, None, None, None] * x1 + sigma[:, None, None, None] * noise
    velocity = Denoiser(dit, dit, 4, 12, dit.config.num_classes).velocity(x_t, t, condition)
    error = (velocity - (x1 - noise)).square()
    base, detail = ((weight * part.flatten(1).mean(1)).mean() for part in error.split([4, 12], 1))
    found = at_samples(task, 2, [0, 1, 2])
    torch.testing.assert_close(found["loss"], (4 * base + 0.5 * 12 * detail) / (4 + 0.5 * 12))


def test_a_dit_step_does_not_depend_on_the_split_of_the_batch():
    dit = small_dit()
    nn.init.normal_(dit.final_layer.linear.weight)
    data = LatentSet(torch.randn(50, 4, 8, 8), torch.arange(50) % 10)
    task = dit_task(dit, data, name="b")
    whole = at_samples(task, 5, list(range(8)))["loss"]
    halves = [at_samples(task, 5, list(part))["loss"] for part in (range(4), range(4, 8))]
    torch.testing.assert_close(whole, (halves[0] + halves[1]) / 2)


class Prompts(nn.Module):
    """A denoiser whose condition is the number of a prompt: it predicts w times that number."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(1.0))

    def forward(self, x, t, condition):
        return self.w * condition.view(-1, 1, 1, 1) * torch.ones_like(x)


def test_text_to_image_weighs_the_detail_by_eq_12_too_and_drops_prompts():
    module = Prompts()
    denoiser = Denoiser(module, module, 4, 12, null=-1, check_batch=1)
    data = LatentSet(torch.randn(20, 16, 2, 2), torch.arange(20))
    adapt = AdaptConfig(detail_warmup_steps=4)
    task = transformer_task(
        "a", denoiser, data, {"heldout": data}, flow=FlowConfig(), dropout=0.5, seed=0, adapt=adapt
    )
    for n, w in ((0, 0.0), (2, 0.5), (4, 1.0)):
        terms = at_samples(task, n, list(range(6)))
        expected = (terms["base"] * 4 + w * terms["detail"] * 12) / (4 + w * 12)
        torch.testing.assert_close(terms["loss"], expected)
    conditions = task.batch(0, list(range(400)))[3]
    assert 0.4 < (conditions == -1).float().mean() < 0.6
    assert set(conditions.tolist()) <= {-1, *range(20)}
    one_by_one, at_once = (
        task.evaluate(),
        flow_loss(Denoiser(module, module, 4, 12, -1, check_batch=20), data, FlowConfig(), 0),
    )
    assert one_by_one["heldout_detail"] == pytest.approx(at_once["detail"], rel=1e-5)
