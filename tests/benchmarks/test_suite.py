"""The suite's options, on stand-ins: what a GPU runs, processes apart, own models, failures."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from _pytest.mark.expression import Expression

from benchmarks import gpu
from benchmarks.clock import CLOCK, SOURCE, replayed
from benchmarks.networks import MODELS
from benchmarks.own_model import made
from benchmarks.scenarios import CPU, GPU, SCENARIOS
from benchmarks.workloads import trains, workload
from davae.core.records import load_records
from davae.features.registry import EXTRACTORS

STAND_INS = sorted({replace(s, small=True, batch=min(s.batch or 2, 2), compile="off", steps=2)
                    for s in GPU if not trains(s)}, key=lambda s: s.name)  # fmt: skip
COMMANDED = (
    "sd35m_1k-widened-sample-b10-bfloat16", "sd35m_1k-widened-denoise-b_fits", "train_vae",
    "sd35m_1k-widened-denoise-b10-bfloat16-compile_regional",
    "(imagenet512-widened-train-b64 and not compile)",
)  # fmt: skip
"""Cases that run by the whole command; the others by their workloads."""
CHOSEN = "own_model or tiny-widened-draw"
ROOT = Path(__file__).parents[2]
FIELDS = {
    "model", "weights", "stage", "resolution_px", "tokens", "channels", "batch", "steps",
    "cfg_forwards", "dtype", "compile", "attention", "threads", "timer", "first_call_s",
    "flops_forward", "flops_image", "flops_closed_form", "params", "peak_bytes", "preset", "seed",
    "img_per_s", "img_per_s_low", "img_per_s_high", "tf32", "p50_s", "p90_s", "status", "error",
    "git_sha", "git_dirty", "time_utc", "schema", "suite", "arm", "run_id", "key",
}  # fmt: skip
"""Columns that every row of the suite has."""


def suite(*words, folder, extra="", check=True):
    """Run `pytest benchmarks` with these words; (process, rows of its file)."""
    out = folder / "out.benchmark.json"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "benchmarks", "-o", "addopts=", "-q", *words,
         "--benchmark-json", str(out)],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{extra}"},
    )  # fmt: skip
    assert not check or done.returncode == 0, done.stdout[-2000:]
    return done, load_records(out)


def test_names_are_unique_and_models_exist():
    names = [s.name for s in SCENARIOS]
    assert len(set(names)) == len(names)
    assert {s.model for s in SCENARIOS} <= {*MODELS, *EXTRACTORS, "dcae_f32c32"}
    assert {s.tier for s in CPU} == {"cpu"}
    assert {(s.tier, s.dtype) for s in GPU} == {("gpu", "bfloat16"), ("gpu", "float32")}


@pytest.mark.parametrize("scenario", STAND_INS, ids=lambda s: s.name)
@torch.inference_mode()
def test_whatever_a_gpu_runs_runs_small(scenario):
    built = workload(scenario)
    built.run()
    assert built.images == scenario.batch
    assert built.params > 0


def test_replayed_times_are_read_as_they_are():
    class Benchmark:
        def pedantic(self, run, rounds, iterations):
            self.times = []
            for _ in range(rounds):
                start = CLOCK()
                run()
                self.times.append(CLOCK() - start)

    benchmark = Benchmark()
    replayed(benchmark, [0.5, 0.25, 2.0])
    assert benchmark.times == [0.5, 0.25, 2.0]
    assert SOURCE.told is None


def test_a_gpus_commands_run_on_a_cpu_argument_by_argument(tmp_path):
    chosen = " or ".join(COMMANDED)
    options = gpu.Options(tmp_path, device="cpu", small=True, groups=(chosen,))
    real, small = gpu.commands(gpu.Options(tmp_path)), gpu.commands(options)
    assert len(small) == 2
    for words, on_gpu in ((small[0], real[0]), *((small[1], suite) for suite in real[1:])):
        flags = [w for w in on_gpu if w.startswith("--")]
        assert [w for w in words if w in flags] == flags  # nothing that a GPU runs is left out
    command = [sys.executable, "-m", "benchmarks.gpu", "--out", str(tmp_path), "--device", "cpu"]
    command += ["--small", "--groups", chosen, "tiny"]  # of which the last picks nothing
    for before in (0, 2):  # what ended is not run again, what failed is
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
        assert (done.returncode, done.stdout.count("ended before")) == (1, before)
    rows = load_records(tmp_path / "gpu.benchmark.json").set_index("arm")
    assert len(rows) == len(COMMANDED)
    assert set(rows["weights"]) == {"random, a small stand-in"}
    assert set(rows.columns) | {"arm"} >= FIELDS
    pair = rows.loc["test_scenario[sd35m_1k-widened-sample-b10-bfloat16]"]
    assert pair["text_s"] > 0
    assert pair["denoise_s"] > pair["decode_s"] > 0
    largest = rows.loc["test_scenario[sd35m_1k-widened-denoise-b_fits-bfloat16]"]
    assert largest["batch"] == largest["images"] == 4
    headline = load_records(tmp_path / "headline")
    assert "counted" in set(headline["protocol"])
    assert headline["protocol"].str.startswith("composed from measured, bfloat16").any()
    assert headline["protocol"].str.contains("stand-ins").any()


def test_the_groups_of_a_gpu_hold_every_case_once():
    chosen = [Expression.compile(group) for group in gpu.GROUPS]
    for s in GPU:
        picked = [group.evaluate(lambda word, name=s.name, **_: word in name) for group in chosen]
        assert sum(picked) == 1, s.name


@pytest.mark.parametrize("unlike", ["gpus", "torch", "git_sha"])
def test_groups_of_several_conditions_are_not_joined(tmp_path, unlike):
    options = gpu.Options(tmp_path)
    for index, word in enumerate(("one", "one", "other")):
        said = {"gpus": "one", "torch": "one", "git_sha": "one", unlike: word}
        about = {"machine": {"gpus": [said["gpus"]]}, "versions": {"torch": said["torch"]}}
        report = {
            "machine_info": {"davae": about}, "commit_info": {"git_sha": said["git_sha"]},
            "benchmarks": [{"name": str(index)}], "failed": [],
        }  # fmt: skip
        gpu.part(options, index).write_text(json.dumps(report))
        if index < 2:
            gpu.join(options)
    joined = json.loads((tmp_path / gpu.SUITE).read_text())["benchmarks"]
    assert joined == [{"name": "0"}, {"name": "1"}]
    with pytest.raises(ValueError, match=r"one.*other"):
        gpu.join(options)


MODELS_OF_MINE = """
import torch


def factory(batch, device):
    return torch.nn.Linear(64, 64).to(device), {"input": torch.zeros(batch, 64, device=device)}


def broken(batch, device):
    raise RuntimeError("no such weights")


def uncounted(batch, device):
    # it can be timed, and then its work cannot be counted
    return (lambda x: torch.zeros(8, 8).mv(x)), {"x": torch.zeros(8)}
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A folder with a module of one's own."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "mine.py").write_text(MODELS_OF_MINE)
    return folder


@pytest.fixture(scope="module")
def apart(own):
    """The file of two cases, each timed in a process of its own, and its rows."""
    words = ("-k", CHOSEN, "--model", "mine:factory", "--isolate")
    _, rows = suite(*words, folder=own, extra=str(own))
    first = own / "first.json"
    first.write_bytes((own / "out.benchmark.json").read_bytes())
    return first, rows.set_index("stage")


def test_a_model_of_ones_own_is_timed_in_a_process_of_its_own(apart):
    row = apart[1].loc["forward"]
    assert (row["model"], row["weights"]) == ("mine:factory", "of the factory")
    assert row["flops_forward"] == 2 * 64 * 64
    assert row["isolated"]
    assert row["img_per_s"] == pytest.approx(1 / row["median_s"])


def test_a_case_that_fails_after_it_was_timed_is_no_row_that_is_ok(own):
    words = ("-k", "own_model", "--model", "mine:uncounted")
    done, rows = suite(*words, folder=own, extra=str(own), check=False)
    assert done.returncode == 1
    assert rows["status"].tolist() == ["failed"]
    assert "no FLOP formula for aten.mv" in rows["error"].item()


def test_a_factory_that_is_none_is_named():
    for model in ("mine", "nowhere:factory", "json:factory"):
        with pytest.raises(ValueError, match=rf"--model {model}: give pkg\.module:factory"):
            made(model, 1, "cpu")
    with pytest.raises(ValueError, match="the factory gave a tuple; it gives"):
        made("builtins:divmod", 7, 2)  # (3, 1)


def test_nothing_is_timed_where_that_is_disabled(own):
    words = ("-k", CHOSEN, "--model", "mine:factory", "--benchmark-disable")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "benchmarks", "-o", "addopts=", "-q", *words],
        cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{own}"},
    )  # fmt: skip
    assert "2 passed" in done.stdout


def test_failures_leave_rows_and_files_compare(own, apart):
    done, rows = suite(
        "-k", CHOSEN, "--model", "mine:broken", f"--benchmark-compare={apart[0]}",
        f"--benchmark-histogram={own / 'histogram'}", folder=own, extra=str(own), check=False,
    )  # fmt: skip
    assert done.returncode == 1  # one case has failed
    by_status = rows.set_index("status")
    assert "no such weights" in by_status.loc["failed", "error"]
    assert by_status.loc["ok", "stage"] == "draw"
    assert "(NOW)" in done.stdout  # beside the times of the first file
    assert list(own.glob("histogram*.svg"))
    machine = json.loads(apart[0].read_text())["machine_info"]
    assert "node" not in machine
    assert machine["davae"]["copy_bytes_per_second"] > 0
