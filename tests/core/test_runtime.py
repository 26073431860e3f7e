"""Every field of `Runtime` against the plain float32 CPU path."""

import shutil
import subprocess
import sys
import threading
from dataclasses import asdict

import pytest
import torch

from davae.core.experiment import AdaptConfig, SampleConfig, TrainConfig
from davae.core.presets import PRESETS
from davae.core.runtime import Runtime
from davae.core.store import read_log
from davae.models.base_vae import build_base_vae
from davae.models.davae import DAVAE, DAVAEConfig
from davae.models.dit import DiT, DiTConfig
from davae.train.batches import Batches
from davae.train.loop import Trainer
from davae.train.transformer import LatentSet
from tests.small_models import dit_task, sample_dit, without_zeros

TRAIN = TrainConfig(steps=4, batch_size=6, lr=1e-3, lr_warmup_steps=1, ema_decay=0.9)


def small_dit():
    torch.manual_seed(0)
    config = DiTConfig(in_channels=6, detail_channels=2, hidden_size=48, depth=2, num_heads=4)
    return without_zeros(DiT(**asdict(config)))


def train(runtime, folder):
    """(log, parameters) of a short training under a runtime."""
    folder.mkdir()
    dit = small_dit()
    data = LatentSet(
        torch.randn(30, 6, 8, 8, generator=torch.Generator().manual_seed(1)), torch.arange(30) % 10
    )
    task = dit_task(dit, data, {"heldout": data}, AdaptConfig(detail_warmup_steps=2))
    dit.velocity = runtime.compiled(dit.velocity)
    Trainer(task, TRAIN, runtime, folder).run()
    return read_log(folder), torch.cat([p.detach().flatten() for p in dit.parameters()])


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return train(Runtime(), tmp_path_factory.mktemp("plain") / "run")


def test_defaults_follow_the_device_and_given_values_win():
    cpu, cuda = Runtime(), Runtime(device="cuda:1")
    speed = ("dtype", "compile", "cuda_graphs", "prefetch", "keep_heap")
    assert [getattr(cpu, f) for f in speed] == ["float32", False, False, False, True]
    assert [getattr(cuda, f) for f in speed] == ["bfloat16", True, True, True, False]
    assert Runtime(device="cuda", dtype="float32", compile=False).dtype == "float32"
    assert not Runtime(device="cuda", compile=False).compile


def test_graphs_replay_what_is_compiled():
    assert not Runtime(device="cuda", compile=False).cuda_graphs
    with pytest.raises(ValueError, match="set compile too"):
        Runtime(device="cuda", compile=False, cuda_graphs=True)


@pytest.mark.parametrize("changes", [{"prefetch": True}])
def test_training_is_bit_identical(changes, plain, tmp_path):
    log, parameters = train(Runtime(**changes), tmp_path / "run")
    assert log == plain[0]
    assert torch.equal(parameters, plain[1])


def test_adamw_is_the_same_fused_and_plain(plain, tmp_path):
    _, parameters = train(Runtime(fused_adamw=False), tmp_path / "run")
    assert not torch.equal(parameters, plain[1])  # another kernel ran
    torch.testing.assert_close(parameters, plain[1], rtol=1e-4, atol=1e-6)


def test_bfloat16_training_keeps_float32_weights_and_stays_close(plain, tmp_path):
    log, parameters = train(Runtime(dtype="bfloat16"), tmp_path / "run")
    assert parameters.dtype == torch.float32
    losses = [[line["loss"] for line in lines if "loss" in line] for lines in (log, plain[0])]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=2e-2)


@pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None, reason="no C++ compiler"
)
def test_compiled_training_and_sampling(plain, tmp_path):
    log, parameters = train(Runtime(compile=True), tmp_path / "run")
    losses = [[line["loss"] for line in lines if "loss" in line] for lines in (log, plain[0])]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    torch.testing.assert_close(parameters, plain[1], rtol=1e-3, atol=1e-4)
    dit, noise, labels = small_dit().eval(), torch.randn(3, 6, 8, 8), torch.tensor([1, 2, 3])
    config = SampleConfig(num_inference_steps=3, solver="heun")
    eager = sample_dit(dit, noise, labels, config)
    dit.velocity = Runtime(compile=True, cuda_graphs=True).compiled(dit.velocity, sampling=True)
    torch.testing.assert_close(sample_dit(dit, noise, labels, config), eager, rtol=1e-3, atol=1e-4)


def test_attention_kernels_agree():
    dit, x, t, y = small_dit().eval(), torch.randn(2, 6, 8, 8), torch.rand(2), torch.tensor([1, 2])
    found = {}
    try:
        for attention in ("auto", "fused", "math"):
            Runtime(attention=attention).apply()
            with torch.profiler.profile() as profile, torch.no_grad():
                found[attention] = dit(x, t, y)
            names = {event.key for event in profile.key_averages()}
            assert ("aten::_scaled_dot_product_flash_attention_for_cpu" in names) == (
                attention != "math"
            )
    finally:
        Runtime().apply()
    assert torch.equal(found["auto"], found["fused"])
    torch.testing.assert_close(found["math"], found["auto"], rtol=1e-4, atol=1e-5)


def test_memory_format_and_dtype_of_the_autoencoder():
    torch.manual_seed(0)
    base = PRESETS["nano"].base_vae
    model = DAVAE(**asdict(DAVAEConfig.of_base(build_base_vae(base), 12))).eval()
    x, latent = torch.rand(2, 3, 64, 64) * 2 - 1, torch.randn(2, 16, 8, 8)
    found = {}
    with torch.no_grad():
        for runtime in (Runtime(memory_format="contiguous"), Runtime(), Runtime(dtype="bfloat16")):
            model = model.to(memory_format=runtime.layout())
            with runtime.autocast():
                parts = model.encode(x).latent_dist.mean, model.decode(latent).sample
            found[runtime.memory_format, runtime.dtype] = parts
    reference = found["contiguous", "float32"]
    torch.testing.assert_close(found["channels_last", "float32"], reference, rtol=1e-4, atol=1e-5)
    for close, exact in zip(found["channels_last", "bfloat16"], reference, strict=True):
        assert (close.float() - exact).norm() / exact.norm() < 0.03
        assert not torch.equal(close.float(), exact)


@pytest.mark.parametrize("allowed", [True, False])
def test_a_training_step_leaves_cudnns_attention_aside(allowed):
    torch.backends.cuda.enable_cudnn_sdp(allowed)
    try:
        with Runtime(dtype="bfloat16").training():
            assert not torch.backends.cuda.cudnn_sdp_enabled()
            assert torch.is_autocast_enabled("cpu")
        assert torch.backends.cuda.cudnn_sdp_enabled() is allowed
    finally:
        Runtime().apply()


def test_prefetch_draws_the_next_batch_in_another_thread():
    drawn = {}

    def draw(n):
        drawn[n] = threading.current_thread() is threading.main_thread()
        return (torch.tensor([n]),)

    with Batches(draw, 3, Runtime(prefetch=True)) as batches:
        assert [int(batches.of(n)[0]) for n in range(3)] == [0, 1, 2]
    assert drawn == {0: True, 1: False, 2: False}


class Part:
    """What stands for a CPU tensor: it notes how it is moved."""

    def __init__(self):
        self.pinned = self.moved = None

    def pin_memory(self):
        self.pinned = True
        return self

    def to(self, device, non_blocking):
        self.moved = (device, non_blocking)
        return self


@pytest.mark.parametrize(
    ("runtime", "pinned"), [(Runtime(device="cuda:0"), True), (Runtime(), None)]
)
def test_batches_are_pinned_and_copied_without_waiting_on_cuda(runtime, pinned):
    with Batches(lambda n: (Part(),), 2, runtime) as batches:
        for n in range(2):
            (part,) = batches.of(n)
            assert part.pinned is pinned
            assert part.moved == (runtime.device, True)


class Reusing:
    """A network that writes every velocity, x, into the same memory, as CUDA graphs do."""

    class config:
        num_classes = 9

    def __init__(self):
        self.out = torch.empty(1, 1, dtype=torch.float64)
        self.y_embedder = self.embed_time = lambda label: label

    def velocity(self, x, time, label):
        return self.out.copy_(x)


def test_sampling_survives_a_network_that_reuses_its_output():
    """dx/dt = x: Heun multiplies by 1 + h + h^2 / 2 a step."""
    config = SampleConfig(num_inference_steps=4, solver="heun", guidance_scale=1.0)
    end = sample_dit(Reusing(), torch.ones(1, 1, dtype=torch.float64), torch.tensor([0]), config)
    assert end.item() == pytest.approx((1 + 0.25 + 0.03125) ** 4)


FAULTS = """
import resource, sys
import torch
from davae.core.runtime import Runtime
Runtime(keep_heap=sys.argv[1] == "keep").apply()
for _ in range(20):  # the heap grows at first
    torch.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_a_kept_heap_faults_no_pages_in_twice():
    """Five tensors of 64 MiB: 16,384 pages each time where memory is given back."""
    found = {}
    for mode in ("keep", "give"):
        command = [sys.executable, "-c", FAULTS, mode]
        found[mode] = int(
            subprocess.run(command, capture_output=True, text=True, check=True).stdout
        )
    assert found["keep"] < 1000 < found["give"]


def test_threads_are_set_and_the_plain_runtime_leaves_them():
    before = torch.get_num_threads()
    try:
        Runtime(threads=1).apply()
        assert torch.get_num_threads() == 1
        Runtime().apply()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
