"""Training a transformer."""

from dataclasses import replace

import torch
from torch import nn

from davae.core.experiment import AdaptConfig
from davae.train.transformer import LatentSet
from tests.small_models import dit_task, small_dit


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


def test_a_dit_step_does_not_depend_on_the_split_of_the_batch():
    dit = small_dit()
    nn.init.normal_(dit.final_layer.linear.weight)
    data = LatentSet(torch.randn(50, 4, 8, 8), torch.arange(50) % 10)
    task = dit_task(dit, data, name="b")
    whole = at_samples(task, 5, list(range(8)))["loss"]
    halves = [at_samples(task, 5, list(part))["loss"] for part in (range(4), range(4, 8))]
    torch.testing.assert_close(whole, (halves[0] + halves[1]) / 2)
