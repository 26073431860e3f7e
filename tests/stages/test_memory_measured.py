"""What a stage takes when it is run, backward pass and all, beside what is planned: on every GPU
that is here with the networks of the paper's presets, and on a CPU in small."""

import gc
from contextlib import contextmanager
from functools import partial

import pytest
import torch

from davae.core.presets import PRESETS
from davae.core.runtime import Runtime
from davae.measure.counters import tensors
from davae.measure.imagined import Counting, footprint
from davae.plan.stages import without_files
from davae.stages import memory
from davae.stages.fit import SHARE, at_once
from davae.stages.memory import Need, need_of
from davae.stages.run_graph import run_stages

SMALL = [("tiny", role, 4) for role in ("davae", "adapted", "detail_latents", "sampled", "samples")]
LARGE = [
    *[("imagenet512", role, 0) for role in ("davae", "adapted", "control", "detail_latents")],
    *[("imagenet512", role, 0) for role in ("sampled", "samples")],
    *[("sd35m_1k", role, 0) for role in ("davae", "adapted", "base_latents", "samples")],
    *[("sd35m_2k", role, 0) for role in ("davae", "adapted", "samples")],
    *[("flux_1k", role, 0) for role in ("adapted", "samples")],
]
CASES = [("cpu", *case) for case in SMALL]
if torch.cuda.is_available():
    CASES += [("cuda", *case) for case in LARGE]


def built(device, make, dtype=None):
    """`imagine` on a device that is there."""
    with torch.device(device):
        network = make()
    if dtype is not None:
        network.to(dtype)
    return network.to(memory_format=torch.channels_last)


@contextmanager
def recomputing(network):
    """Blocks recomputed in the backward pass, as trainings have it."""
    network.enable_gradient_checkpointing()
    yield
    network.disable_gradient_checkpointing()


def measured(device, run, dtype):
    """The most bytes that `run()` and its backward pass have beside what was there before."""
    counter = Counting()
    if device == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated() if device == "cuda" else 0
    runtime = Runtime(device, dtype=dtype if device == "cuda" else "float32", compile=False)
    with counter if device == "cpu" else torch.device("cuda"):
        with runtime.training() if torch.is_grad_enabled() else runtime.autocast():
            made = [t for t in tensors(run()) if t.requires_grad]
        if made:
            sum(t.float().mean() for t in made).backward()
    if device == "cpu":
        return counter.live.peak
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def as_measured(monkeypatch, device, e, stage, count, recompute):
    """The bytes of the stage with `count` samples at once."""

    def growing(run, held, most, setting, dtype="bfloat16"):
        peak = measured(device, partial(run, count), dtype)
        return Need(held + peak, 0, most, setting)

    for name, value in {
        "growing": growing,
        "imagine": partial(built, device),
        "imagined_gpu": lambda: torch.device(device),
        "recomputing": recomputing,
    }.items():
        monkeypatch.setattr(memory, name, value)
    if not recompute:
        return need_of(e, stage).first_part(count)
    trained = memory.training

    def only_recomputed(run, networks, config, network):
        with recomputing(network):
            return trained(run, networks, config)

    monkeypatch.setattr(memory, "training", only_recomputed)
    return need_of(e, stage).first_part(count)


@pytest.mark.parametrize(("device", "preset", "role", "count"), CASES)
def test_a_stage_takes_what_is_planned(device, preset, role, count, monkeypatch):
    e = without_files(PRESETS[preset])
    stage = run_stages(e)[role]
    if device == "cpu":  # whose autocast leaves norms in bfloat16, CUDA's does not
        monkeypatch.setattr(memory, "footprint", lambda run, dtype: footprint(run, "float32"))
    need, recompute = need_of(e, stage), False
    if device == "cuda":
        room = int(SHARE * torch.cuda.mem_get_info()[1])
        recompute = not at_once(need, room)
        need = need.recomputed if recompute else need
        count = at_once(need, room)
    planned = need.first_part(count)
    monkeypatch.setattr(memory, "conditions", partial(conditions_on, device))
    taken = as_measured(monkeypatch, device, e, stage, count, recompute)
    how = f"{count} at once" + ", recomputed" * recompute
    gib = f"planned {planned / 2**30:.2f} GiB, taken {taken / 2**30:.2f} GiB"
    print(f"{device} {preset} {role}: {how}, {gib}, {taken / planned:.3f}")
    assert taken == pytest.approx(planned, rel=0.15)


def conditions_on(device, e, count, channels):
    """The arguments of a forward, of zeros."""
    given = memory.architecture(e).inputs(count, channels, e.latent_size)
    return {name: torch.zeros_like(value, device=device) for name, value in given.items()}
