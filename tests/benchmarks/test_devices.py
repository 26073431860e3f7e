"""A network computes the same on every device that is here as on the CPU in float32. On a CPU alone
the comparison runs with the CPU itself."""

import copy

import pytest
import torch

from benchmarks.networks import (
    architecture_of,
    autoencoder,
    experiment_of,
    grid,
    normal,
    random_like,
    transformer,
)
from benchmarks.scenarios import Scenario
from benchmarks.trainers import dit_trainer
from davae.core.runtime import Runtime
from davae.models.unweighted import first
from davae.train.ema import EMA

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
FORWARDS = (
    Scenario("tiny", "denoise", batch=2),
    Scenario("tiny", "denoise", batch=2, fused=True),
    Scenario("sd35m_1k", "denoise", batch=2, small=True),
    Scenario("flux_1k", "denoise", batch=2, small=True),
)
AUTOENCODERS = (Scenario("tiny", "decode"), Scenario("tiny", "decode", "native"))
SAME = 2e-5
"""Relative difference that float32 sums in another order leave; TF32 would leave 1e-3."""


@pytest.fixture(autouse=True)
def float32_products():
    """No TF32 in convolutions, which is torch's default on a GPU."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32 = before


def difference(other, reference):
    return float((other.cpu() - reference).norm() / reference.norm())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("s", FORWARDS, ids=lambda s: s.name)
def test_a_forward(s, device):
    e = experiment_of(s)
    network = transformer(e, s, "cpu")
    inputs = random_like(architecture_of(e, s).inputs(s.batch, *grid(e, s)), "cpu", torch.float32)
    with torch.inference_mode():
        reference = first(network(**inputs))
        moved = copy.deepcopy(network).to(device)
        found = first(moved(**{name: x.to(device) for name, x in inputs.items()}))
    assert difference(found, reference) < SAME


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("s", AUTOENCODERS, ids=lambda s: s.name)
def test_an_autoencoder(s, device):
    e = experiment_of(s)
    network = autoencoder(e, s, "cpu")
    channels, side = grid(e, s)
    px = e.data.resolution_px
    shapes = (1, channels, side, side), (1, 3, px, px)
    z, x = (normal(shape, "cpu", torch.float32) for shape in shapes)
    with torch.inference_mode():
        references = network.decode(z).sample, network.encode(x).latent_dist.mode()
        moved = copy.deepcopy(network).to(device)
        found = moved.decode(z.to(device)).sample, moved.encode(x.to(device)).latent_dist.mode()
    assert all(difference(a, b) < SAME for a, b in zip(found, references, strict=True))


def losses(device, folder):
    """The losses of five steps of the adaptation from the same weights and latents."""
    s = Scenario("tiny", "train", batch=4)
    network = transformer(experiment_of(s), s, "cpu").to(device)
    torch.manual_seed(1)
    trainer = dit_trainer(network, s.batch, folder, Runtime(device=device, dtype="float32"))
    found = []
    for step in range(5):
        found.append(float(trainer.task.step(step, trainer.batches.of(step))["loss"].detach()))
        trainer.step()
    return torch.tensor(found)


@pytest.mark.parametrize("device", DEVICES)
def test_a_training_draws_and_learns_the_same(device, tmp_path):
    reference = losses("cpu", tmp_path)
    assert len(set(reference.tolist())) == 5
    assert difference(losses(device, tmp_path), reference) < SAME


@pytest.mark.parametrize("device", DEVICES)
def test_an_average_on_the_host_is_the_average(device):
    weights = [torch.nn.Parameter(torch.randn(4, 3).to(device)) for _ in range(2)]
    averages = [EMA(weights, 0.9, on_host) for on_host in (False, True)]
    for step in range(3):
        with torch.no_grad():
            for weight in weights:
                weight.add_(1.0)
        for ema in averages:
            ema.update(step)
    beside, hosted = averages
    assert {a.device.type for a in hosted.average} == {"cpu"}
    for a, b in zip(beside.average, hosted.average, strict=True):
        torch.testing.assert_close(a.cpu(), b)
    before = [weight.clone() for weight in weights]
    with hosted.swapped():
        for weight, average in zip(weights, beside.average, strict=True):
            torch.testing.assert_close(weight, average)
    assert all(torch.equal(w, b) for w, b in zip(weights, before, strict=True))
