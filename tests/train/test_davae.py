"""Training a DA-VAE."""

from dataclasses import replace

import pytest
import torch

from davae.core.experiment import DetailConfig, TrainConfig
from davae.core.runtime import Runtime
from davae.core.store import read_log
from davae.method.alignment import channel_variance
from davae.train.davae import base_variance, davae_task
from davae.train.loop import Trainer
from tests.small_models import small_davae


def at_samples(task, n, samples):
    """The terms of step n on the samples of these global indices."""
    return task.step(n, task.batch(n, samples))


@pytest.mark.parametrize(
    "changes",
    [
        {"align_mode": "gradient_ratio", "align_weight": 0.5},
        {"pyramid_weight": 1.0, "align_weight": 0.0},
        {"gan_weight": 0.1},
        {"detail_channels": 0},
        {"align_method": "learned", "detail_channels": 0},
        {"align_method": "learned", "align_weight": 0.1},
        {"align_method": "cosine_distance", "align_mode": "gradient_ratio", "align_weight": 0.1},
    ],
)
def test_options_of_the_vae_loss(tmp_path, changes):
    config = replace(
        DetailConfig(train=TrainConfig(steps=3, batch_size=2, lr_warmup_steps=1)), **changes
    )
    model, images, latents = small_davae(config.detail_channels)
    frozen = {k: v.clone() for k, v in model.base_encoder.state_dict().items()}
    task = davae_task(model, images, latents, (images, latents), config, seed=0)
    Trainer(task, config.train, Runtime(), tmp_path).run()
    terms = set(read_log(tmp_path)[1])
    assert ("align" in terms) == (config.align_weight > 0 and config.detail_channels > 0)
    assert ("gan" in terms) == (config.gan_weight > 0)
    assert ("pyramid" in terms) == (config.pyramid_weight > 0)
    assert all(torch.equal(v, frozen[k]) for k, v in model.base_encoder.state_dict().items())


@pytest.mark.parametrize("channels", [0, 12])
@torch.no_grad()
def test_held_out_images_are_checked_in_parts_that_fit(monkeypatch, channels):
    """What a GPU takes of a training step; a preset's 39 images at once would be 100 GiB."""
    config = DetailConfig(detail_channels=channels, train=TrainConfig(batch_size=4))
    model, images, latents = small_davae(channels)
    decode, sizes = model.decode_raw, []
    monkeypatch.setattr(model, "decode_raw", lambda z: (sizes.append(len(z)), decode(z))[1])
    found = []
    for at_once, most in ((len(images), len(images)), (0, 4), (3, 3), (1, 1)):
        sizes.clear()
        task = davae_task(model, images, latents, (images, latents), config, 0, at_once=at_once)
        found.append(task.evaluate())
        assert max(sizes) == most
    assert set(found[0]) == {"psnr_db", *(["psnr_zeroed_db"] if channels else [])}
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-5)


def test_the_base_variance_is_of_as_many_latents_as_memory_takes(monkeypatch):
    latents = torch.randn(10, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(base_variance(latents), channel_variance(latents))
    monkeypatch.setattr("davae.train.davae.VARIANCE_VALUES", 3 * 16 + 5)
    assert torch.equal(base_variance(latents), channel_variance(latents[:3]))


def test_a_learned_projection_is_trained_with_the_vae(tmp_path):
    train = TrainConfig(steps=3, batch_size=2, lr_warmup_steps=1)
    config = DetailConfig(align_method="learned", align_weight=0.1, train=train)
    model, images, latents = small_davae()
    task = davae_task(model, images, latents, (images, latents), config, seed=0)
    projection = task.module["projection"].conv.weight
    before = projection.detach().clone()
    plain = davae_task(
        model, images, latents, (images, latents), replace(config, align_method="group_mean"), 0
    )
    first = [at_samples(t, 0, [0, 1])["align"] for t in (task, plain)]
    torch.testing.assert_close(*first)  # it starts as the group mean
    Trainer(task, config.train, Runtime(), tmp_path).run()
    assert not torch.equal(projection, before)
    with pytest.raises(ValueError, match="align_weight 0, so that it does nothing"):
        DetailConfig(align_method="learned", align_weight=0.0)


def test_gradient_ratio_makes_alignment_a_share_of_the_nll_gradient():
    """At the down block the weighted term's gradient has lambda times the norm of the nll's."""
    config = DetailConfig(
        align_mode="gradient_ratio", align_weight=0.5, kl_weight=0.0, detail_dropout=0.0
    )
    model, images, latents = small_davae()
    at = model.detail_down.conv.weight

    def gradient(weight):
        task = davae_task(
            model, images, latents, (images, latents), replace(config, align_weight=weight), seed=0
        )
        return torch.autograd.grad(at_samples(task, 0, [0, 1])["loss"], at)[0]

    nll, both = gradient(0.0), gradient(0.5)
    assert ((both - nll).norm() / nll.norm()).item() == pytest.approx(0.5, rel=1e-2)


def first_terms(config, n=0):
    model, images, latents = small_davae()
    task = davae_task(model, images, latents, (images, latents), config, seed=0)
    return task, task.step(n, task.batch(n, [0, 1]))


def test_the_loss_is_the_weighted_sum_of_its_terms():
    config = DetailConfig(
        l1_weight=3.0, l2_weight=5.0, haar_weight=7.0, pyramid_weight=0.5, align_weight=0.25,
        kl_weight=0.125,
    )  # fmt: skip
    terms = first_terms(config)[1]
    expected = 3 * terms["l1"] + 5 * terms["l2"] + 7 * terms["haar"] + 0.5 * terms["pyramid"]
    expected = expected + 0.25 * terms["align"] + 0.125 * terms["kl"]
    torch.testing.assert_close(terms["loss"], expected)


def test_the_gan_starts_at_its_step():
    config = DetailConfig(gan_weight=0.1, gan_start_step=2, align_weight=0.0)
    assert "gan" not in first_terms(config, 1)[1]
    assert {"gan", "discriminator"} <= set(first_terms(config, 2)[1])


def test_settings_of_a_term_without_weight_are_refused():
    with pytest.raises(ValueError, match="gan_weight is 0"):
        DetailConfig(gan_start_step=5)
    with pytest.raises(ValueError, match="align_mode 'fixed' does not use"):
        DetailConfig(align_clamp=10.0)
