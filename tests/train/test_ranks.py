"""Two processes do what one does: torch.distributed over gloo on the CPU, stages of nano."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ablations.__main__ import main as ablations
from davae.cli.main import main
from davae.core.ranks import Ranks
from davae.core.store import read_log
from davae.stages.run_graph import run_stages
from davae.train import parallel
from davae.train.loop import snapshot_name
from davae.train.parallel import check_sharding, check_shares
from tests.train import ranked

FSDP = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_TRANSFORMER_CLS_TO_WRAP": "Block",
}
"""What `accelerate launch` sets from an fsdp_config."""
CLOSE = 1e-5


def launch(store, *roles, stop=0, **env):
    """Two processes over the store."""
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run(
        [sys.executable, *command, ranked.__file__, str(store), str(stop), *roles],
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", **env},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode == 0) == (not stop), done.stderr[-3000:]


def copied(source, target, *names):
    """A store with some stages of another."""
    for name in ("crops", "base_vae", "base_latents", "base_dit", *names):
        shutil.copytree(source / name, target / name)
    shutil.copy(source / "measured.json", target / "measured.json")
    return target


def built_here(store, *roles):
    """The stages by this process, on one thread as the launched ones."""
    threads = torch.get_num_threads()
    try:
        ranked.build(store, *roles)
    finally:
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def alone(nano, tmp_path_factory):
    """The store of one process."""
    store = tmp_path_factory.mktemp("alone")
    source = nano[0].store.root
    for name in ("crops", "base_vae", "base_latents", "base_dit"):
        shutil.copytree(source / name, store / name)
    built_here(store, "davae", "detail_latents", "adapted")
    return store


def folder(store, role):
    stage = run_stages(ranked.experiment())[role]
    return store / stage.name / stage.key


def log(store, role):
    return read_log(folder(store, role))


def assert_close(one, other, role):
    """The loss of every step, and every other figure within 1e-4 of its value."""
    first, second = log(one, role), log(other, role)
    assert len(first) == len(second) > ranked.STEPS
    for a, b in zip(first, second, strict=True):
        assert a.get("loss", 0.0) == pytest.approx(b.get("loss", 0.0), abs=CLOSE)
        assert a == pytest.approx(b, rel=1e-4)
    assert first != second  # otherwise one process made both


def test_shares_are_disjoint_complete_and_the_mains_is_never_empty():
    for count, total in ((1, 7), (2, 7), (3, 2), (4, 1), (5, 23)):
        shares = [Ranks(rank, count).share(total) for rank in range(count)]
        assert [i for share in shares for i in share] == list(range(total))
        assert len(shares[0]) >= 1
        parts = [p for rank in range(count) for p in Ranks(rank, count).parts(total, 3)]
        assert parts == Ranks().parts(total, 3)


def test_what_several_processes_cannot_do_is_said_at_once(monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setattr("sys.argv", ["davae", "plan", "tiny"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "is for one process, and 4 were launched" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["ablations", "guidance", "--preset", "nano"])
    assert ablations() == 2
    assert "--jobs" in capsys.readouterr().err
    monkeypatch.setattr("davae.train.parallel.ranks", lambda: Ranks(0, 3))
    with pytest.raises(
        ValueError, match=r"davae\.train\.batch_size is 16.*multiple of 3, such as 18"
    ):
        check_shares({"adapt.train.batch_size": 33, "davae.train.batch_size": 16})


def test_two_processes_train_encode_and_sample_as_one_and_go_on_exactly(alone, tmp_path):
    store = copied(alone, tmp_path / "two")
    launch(store, "davae", "detail_latents", "adapted", stop=12)
    assert not folder(store, "adapted").exists()
    launch(store, "adapted", "sampled", "samples")
    assert_close(alone, store, "davae")
    assert_close(alone, store, "adapted")

    whole = copied(store, tmp_path / "whole", "davae", "detail_latents")
    launch(whole, "adapted")
    assert log(store, "adapted") == log(whole, "adapted")
    weights = "model/diffusion_pytorch_model.safetensors"
    killed, uninterrupted = (load_file(folder(s, "adapted") / weights) for s in (store, whole))
    assert all(torch.equal(killed[name], uninterrupted[name]) for name in uninterrupted)

    one = copied(store, tmp_path / "one", "davae", "adapted")
    built_here(one, "sampled", "samples")
    for role, file in (("sampled", "latents.npy"), ("samples", "images.npy")):
        found, expected = (np.load(folder(s, role) / file) for s in (store, one))
        assert np.array_equal(found, expected)
        assert len(found) == 247  # which two do not share evenly


def test_sharded_weights_train_as_whole_ones_and_go_on(alone, tmp_path):
    store = copied(alone, tmp_path / "sharded", "davae", "detail_latents")
    launch(store, "adapted", stop=12, **FSDP)
    launch(store, "adapted", **FSDP)
    assert_close(alone, store, "adapted")
    for name in (snapshot_name(5), "model/diffusion_pytorch_model.safetensors"):
        one, two = (load_file(folder(s, "adapted") / name) for s in (alone, store))
        assert one.keys() == two.keys()


def test_what_sharding_does_not_go_with_is_said_at_once(monkeypatch):
    check_sharding({"Linear"}, compiled=True, ema_on_host=True)  # nothing is sharded
    monkeypatch.setattr(parallel, "asked_classes", lambda: {"FluxTransformerBlock"})
    with pytest.raises(ValueError, match=r"FluxTransformerBlock, .* none; its blocks are Block"):
        check_sharding({"Block", "Linear"}, compiled=False, ema_on_host=False)
    there = {"FluxTransformerBlock"}
    with pytest.raises(ValueError, match=r"give --runtime\.compile False"):
        check_sharding(there, compiled=True, ema_on_host=False)
    with pytest.raises(ValueError, match="a sharded average stays on the GPUs"):
        check_sharding(there, compiled=False, ema_on_host=True)
    check_sharding(there, compiled=False, ema_on_host=False)
