"""Losses, the training loop and FLOP counting."""

import math
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from davae.core.experiment import AdaptConfig, DetailConfig, TrainConfig
from davae.core.runtime import Runtime
from davae.core.store import read_log
from davae.features.lpips import load_lpips
from davae.measure.flops import count_flops, dit_forward_flops
from davae.method.vae_loss import (
    gradient_ratio,
    hinge_loss,
    kl_mean,
    laplacian_pyramid,
    pyramid_l1,
)
from davae.models.discriminator import PatchDiscriminator
from davae.models.dit import DiT, DiTConfig
from davae.stages.artifacts import JoinedLatents
from davae.train.davae import davae_task
from davae.train.loop import CHECKPOINT, EMA, Task, Trainer
from davae.train.transformer import LatentSet
from tests.small_models import dit_task, small_davae, small_dit


def test_kl_closed_form():
    assert kl_mean(torch.zeros(5), torch.zeros(5)).item() == 0.0
    mean, logvar = torch.tensor([2.0]), torch.tensor([math.log(4.0)])
    assert kl_mean(mean, logvar).item() == pytest.approx(4 + 4 - 1 - math.log(4), rel=1e-6)


def test_laplacian_pyramid_sums_to_the_image():
    x = torch.randn(2, 3, 32, 32)
    *bands, image = laplacian_pyramid(x, 3)
    assert image.shape[-1] == 4
    for band in reversed(bands):
        image = band + torch.nn.functional.interpolate(
            image, scale_factor=2, mode="bilinear", align_corners=False
        )
    torch.testing.assert_close(image, x)
    assert pyramid_l1(x, x).item() == 0.0
    # a constant error is all in the low-pass rest, one of four bands
    assert pyramid_l1(x + 0.5, x).item() == pytest.approx(0.125, rel=1e-5)


def test_gradient_ratio_closed_form_detached_and_clamped():
    w = torch.tensor([3.0, 4.0], requires_grad=True)
    nll, term = 2 * (w**2).sum() / 2, w.sum()  # gradients 2 w (norm 10) and 1 (norm sqrt 2)
    ratio = gradient_ratio(nll, term, w, upper=1e8)
    assert ratio.item() == pytest.approx(10 / (math.sqrt(2) + 1e-4))
    assert not ratio.requires_grad
    assert gradient_ratio(nll, term, w, upper=3.0).item() == 3.0
    other = torch.tensor([1.0], requires_grad=True)
    assert gradient_ratio(nll, 5 * other.sum(), w, at=other, upper=1e8).item() == pytest.approx(
        10 / 5.0001
    )


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


def test_missing_lpips_weights_are_an_error_that_helps(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(ValueError, match=r"vgg16-397923af\.pth.*pyramid_weight"):
        load_lpips()


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0, -2.0]))


def line_task(module, poison_at=-1):
    def batch(n, samples):
        return (torch.tensor([math.sin(s) for s in samples]),)

    def step(n, batch):
        target = batch[0]
        loss = (module.w.sum() - target).square().mean() + 0.1 * (n + 1) * module.w[0] ** 2
        extra = loss * (float("nan") if n == poison_at else 1.0)
        return {"loss": loss + extra, "fit": loss, "extra": extra}

    return Task(
        "line", module, batch, step, lambda: {"w": float(module.w.detach()[0])}, evaluations=4
    )


def at_samples(task, n, samples):
    """The terms of step n on the samples of these global indices."""
    return task.step(n, task.batch(n, samples))


TRAIN = TrainConfig(steps=20, batch_size=4, lr=0.05, lr_warmup_steps=2, ema_decay=0.9)


def test_a_non_finite_term_stops_training_and_is_named(tmp_path):
    trainer = Trainer(line_task(Line(), poison_at=7), TRAIN, Runtime(), tmp_path)
    with pytest.raises(FloatingPointError, match=r"term 'extra' is nan at step 7 .*loss nan"):
        trainer.run()


def test_a_resumed_run_is_bit_identical(tmp_path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    whole = Line()
    Trainer(line_task(whole), TRAIN, Runtime(), tmp_path / "whole").run()

    class Power(Exception):
        pass

    cut = Line()
    task = line_task(cut)
    original = task.step

    def step(n, samples):
        if n == 13:
            raise Power
        return original(n, samples)

    task.step = step
    with pytest.raises(Power):
        Trainer(task, TRAIN, Runtime(checkpoint_seconds=0.0), tmp_path / "cut").run()
    assert (tmp_path / "cut" / CHECKPOINT).exists()
    again = Line()
    Trainer(line_task(again), TRAIN, Runtime(), tmp_path / "cut").run()
    assert torch.equal(again.w, whole.w)
    logs = [read_log(tmp_path / name) for name in ("whole", "cut")]
    assert logs[0] == logs[1]
    assert [line["step"] for line in logs[0] if "eval/w" in line] == [0, 5, 10, 15, 20]


def test_ema_by_hand():
    p = nn.Parameter(torch.tensor([0.0]))
    ema = EMA([p], 0.5)
    with torch.no_grad():
        p.fill_(1.0)
    ema.update(0)  # d = min(0.5, 1 / 10)
    assert ema.average[0].item() == pytest.approx(0.9)
    with torch.no_grad():
        p.fill_(2.0)
    ema.update(90)  # d = 0.5
    assert ema.average[0].item() == pytest.approx(1.45)
    with ema.swapped():
        assert p.item() == pytest.approx(1.45)
    assert p.item() == 2.0


def test_tensorboard_events_are_written(tmp_path):
    pytest.importorskip("tensorboard")
    Trainer(line_task(Line()), TRAIN, Runtime(tensorboard=True), tmp_path).run()
    assert list((tmp_path / "tensorboard").iterdir())


def test_flops_on_the_device_equal_meta_and_the_closed_form():
    tokens, width, depth = 64, 48, 3
    config = DiTConfig(hidden_size=width, depth=depth, num_heads=4)
    with torch.device("meta"):
        on_meta, _ = count_flops(
            lambda: DiT(**asdict(config))(
                torch.empty(2, 4, 8, 8), torch.empty(2), torch.empty(2, dtype=torch.long)
            )
        )
    dit = DiT(**asdict(config))
    inputs = (torch.randn(2, 4, 8, 8), torch.rand(2), torch.tensor([0, 1]))
    with torch.no_grad():
        here, _ = count_flops(lambda: dit(*inputs))
    assert here == on_meta
    blocks = dit_forward_flops(tokens, width, depth, batch=2)
    conditioning = 2 * 2 * (256 * width + width**2 + depth * 6 * width**2 + 2 * width**2)
    ends = 2 * 2 * tokens * (4 * width + width * 4)
    assert here == blocks + conditioning + ends
    training, _ = count_flops(lambda: dit(*inputs).sum().backward())
    first = 2 * 2 * tokens * 4 * width + 2 * 2 * 256 * width  # whose inputs need no gradient
    recomputed = depth * 2 * 2 * tokens**2 * width  # attention's backward recomputes the scores
    assert training == 3 * here - first + recomputed


@pytest.mark.parametrize(
    "changes",
    [
        {"align_mode": "gradient_ratio", "align_weight": 0.5},
        {"pyramid_weight": 1.0, "align_weight": 0.0},
        {"gan_weight": 0.1},
        {"detail_channels": 0},
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


def test_joined_latents_are_the_concatenated_normalised_ones(tmp_path):
    rng = np.random.default_rng(0)
    parts = [rng.normal(size=(n, c, 2, 2)).astype(np.float32) for n, c in ((7, 3), (5, 2))]
    factors = SimpleNamespace(shift_factor=0.5, scaling_factor=2.0)
    joined = JoinedLatents(parts, factors)
    whole = torch.from_numpy((np.concatenate([parts[0][:5], parts[1]], 1) - 0.5) * 2.0)
    assert (len(joined), joined.shape) == (5, (5, 5, 2, 2))
    assert torch.equal(joined[torch.tensor([4, 0, 4])], whole[[4, 0, 4]])
    assert torch.equal(joined[1:99], whole[1:])


def test_a_step_in_pieces_is_the_step_of_the_whole_batch(tmp_path):
    """Gradients of a mean over 8 samples, 3 at a time: 3/8 + 3/8 + 2/8."""
    seen = []

    def run(micro, folder):
        torch.manual_seed(0)
        module = torch.nn.Linear(4, 1)
        x = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))

        def step(n, batch):
            seen.append(len(batch[0]))
            return {"loss": module(batch[0]).square().mean()}

        folder.mkdir()
        task = Task("toy", module, lambda n, samples: (x,), step)
        config = TrainConfig(steps=3, batch_size=8, lr=1e-2, lr_warmup_steps=0)
        Trainer(task, config, Runtime(micro_batch=micro), folder).run()
        return module.weight.detach(), read_log(folder)[-1]["loss"]

    whole, pieces = run(0, tmp_path / "whole"), run(3, tmp_path / "pieces")
    assert seen == [8] * 3 + [3, 3, 2] * 3
    torch.testing.assert_close(pieces[0], whole[0])
    assert pieces[1] == pytest.approx(whole[1], rel=1e-5)
