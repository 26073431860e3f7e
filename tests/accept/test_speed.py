"""Speed beside the machine's own ceilings: `make accept` prints every share with what it is held
to.

Run it on a quiet machine: a second busy process slows both to a fraction. The figures are recorded
below runs/speed."""

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ablations._load import load, names
from davae.core import records
from davae.core.presets import ARMS
from davae.core.runtime import Runtime
from davae.core.store import Store
from davae.stages.graph import graph
from davae.stages.stage import Pipeline

pytestmark = pytest.mark.accept

TARGETS = {
    "lightning_b1-widened-denoise-b8": 0.85,
    "lightning_b1-widened-train-b8": 0.80,
    "tiny-widened-train-b24": 0.60,
    "tiny-widened-train-b24-compile_whole": 0.60,
    "imagenet512-widened-encode-b2-256px": 0.95,
    "imagenet512-widened-decode-b2-256px": 0.95,
    "imagenet512-widened-train_vae-b2-256px": 0.80,
    "tiny-widened-encode-b8": 0.70,
    "tiny-widened-decode-b8": 0.70,
    "tiny-widened-train_vae-b8": 0.60,
}
LIMITED = {"imagenet512-widened-encode-b2-256px": 0.86, "tiny-widened-train-b24": 0.52}
"""Targets that are out of reach, and what is held instead; docs/performance.md shows why."""
PARTS = ("tiny-widened-update-b24", "tiny-widened-draw-b24")
SAMPLING, FORWARD = "tiny-widened-sample-b39", "tiny-widened-denoise-b128"
RECORDS, RUN = Path("runs/speed/records.jsonl"), records.new_run_id()
ARM_SECONDS, REUSED_SECONDS, SAMPLING_SECONDS = 360, 180, 60
SMOKE_SECONDS = 1_200


@pytest.fixture(scope="module", autouse=True)
def runtime():
    Runtime().apply()


def note(arm, protocol, **values):
    """Record the values of one measurement."""
    same = {
        "run_id": RUN,
        "suite": "speed",
        "arm": arm,
        "key": "",
        "preset": "",
        "seed": 0,
        "protocol": protocol,
    }
    records.append(
        RECORDS, [records.row(**same, metric=name, value=value) for name, value in values.items()]
    )


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """The suite's rows of the cases that are held to something, by name."""
    out = tmp_path_factory.mktemp("suite") / "out.benchmark.json"
    names = [*TARGETS, *PARTS, SAMPLING, FORWARD]
    ids = [f"benchmarks/test_scenarios.py::test_scenario[{name}]" for name in names]
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "-q", *ids]
    subprocess.run([*command, "--benchmark-json", str(out)], check=True)
    rows = records.load_records(out)
    RECORDS.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(out, RECORDS.parent / "speed.benchmark.json")
    return rows.set_index(rows["arm"].str.extract(r"\[(.*)\]", expand=False))


def test_shares_of_the_machines_own_rates(cases, capsys):
    """FLOPs of the network as defined, a second, over the product's or the convolution's rate
    around them."""
    missed = []
    for name, target in TARGETS.items():
        share = cases.loc[name, "share_of_ceiling"]
        with capsys.disabled():
            print(f"\n{name:<45} {share:.2f} of the {cases.loc[name, 'ceiling']} rate, target "
                  f"{target:.2f}", end="")  # fmt: skip
        if share < LIMITED.get(name, target):
            missed.append(name)
    assert not missed


def test_bookkeeping_is_a_small_part_of_a_step(cases, capsys):
    step = cases.loc["tiny-widened-train-b24", "median_s"]
    for name in PARTS:
        share = cases.loc[name, "median_s"] / step
        with capsys.disabled():
            print(f"\n{name} {share:.1%} of a step of {step * 1e3:.0f} ms, target below 8%", end="")
        assert share < 0.08


def test_sampling_keeps_the_rate_of_the_forward(cases, capsys):
    found = cases.loc[SAMPLING, "share_of_ceiling"] / cases.loc[FORWARD, "share_of_ceiling"]
    with capsys.disabled():
        print(f"\nguided sampling at {found:.2f} of the forward's rate, target 0.70", end="")
    assert found >= 0.7


def seconds_of(code):
    """The best of five fresh processes."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, *code], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return min(times)


def test_imports_are_light(capsys):
    start = seconds_of(["-c", "pass"])
    package = seconds_of(["-c", "import davae, sys; assert 'torch' not in sys.modules"]) - start
    usage = seconds_of(
        [
            "-c",
            "import sys; from davae.cli.main import main; sys.argv = ['davae', '--help']; main()",
        ]
    )
    with capsys.disabled():
        print(
            f"\nimport davae {package:.2f} s, target 0.3; davae --help {usage:.2f} s, target 0.5",
            end="",
        )
    note("start", "best of five processes", import_seconds=package, help_seconds=usage)
    assert package <= 0.3
    assert usage <= 0.5


def test_an_arm_of_the_tiny_ablations(tmp_path, capsys):
    """From trained base models, which are shared, to the last metric; about 7 minutes."""
    shared = Path("results/cpu-2core/store").resolve()
    for artifact in shared.glob("*/*"):
        place = tmp_path / "store" / artifact.relative_to(shared)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(artifact)
    pipeline = Pipeline(Store(tmp_path / "store"), Runtime(), announce=lambda text: None)
    stages = graph(ARMS["tiny"].davae)
    for role in ("base_dit", "references"):
        pipeline.path(stages[role])
    seconds = {}
    for role in ("davae", "reconstruction", "detail_latents", "adapted", "samples", "generation"):
        start = time.perf_counter()
        pipeline.path(stages[role])
        seconds[role] = time.perf_counter() - start
    sampling = seconds["samples"] + seconds["generation"]
    reused = seconds["adapted"] + sampling
    with capsys.disabled():
        print(
            f"\nan arm at tiny {sum(seconds.values()):.0f} s, target {ARM_SECONDS}; reusing a "
            f"DA-VAE {reused:.0f} s,"
            f" target {REUSED_SECONDS}; sampling and features {sampling:.0f} s, target "
            f"{SAMPLING_SECONDS}: " + ", ".join(f"{role} {s:.0f}" for role, s in seconds.items()),
            end="",
        )
    note(
        "an arm at tiny",
        "wall clock of stages",
        **{f"{role}_seconds": s for role, s in seconds.items()},
    )
    assert sum(seconds.values()) <= ARM_SECONDS
    assert reused <= REUSED_SECONDS
    assert sampling <= SAMPLING_SECONDS


def test_every_ablation_at_smoke(tmp_path, capsys):
    """Every table and figure from the shipped models, on all cores; about 16 minutes."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "ablations", "--all", "--preset", "smoke"]
    places = ["--store", str(tmp_path / "store"), "--out", str(tmp_path / "out")]
    subprocess.run(command + places, check=True)
    seconds = time.perf_counter() - start
    with capsys.disabled():
        print(f"\nevery ablation at smoke {seconds / 60:.1f} min, target 20", end="")
    note("every ablation at smoke", "wall clock", seconds=seconds)
    every = sorted(name for name in names() if not load(name).own_seeds)
    for left in ("table.md", "figure*.svg", "records.jsonl"):
        found = (tmp_path / "out" / "smoke" / "ablations").glob(f"*/{left}")
        assert sorted({path.parent.name for path in found}) == every
    assert seconds <= SMOKE_SECONDS


def test_an_estimate_of_a_sweep(tmp_path, capsys):
    """What --dry-run says of a second seed, from the stages of the first, is within a quarter of
    what it takes."""
    command = [sys.executable, "-m", "ablations", "init", "--preset", "smoke"]
    command += ["--store", str(tmp_path / "store"), "--out", str(tmp_path / "out")]
    subprocess.run([*command, "--seeds", "1"], check=True, capture_output=True)
    asked = [*command, "--seeds", "0", "1"]
    said = subprocess.run([*asked, "--dry-run"], check=True, capture_output=True, text=True).stdout
    estimate = 60 * float(re.search(r"about ([\d.]+) minutes", said).group(1))
    start = time.perf_counter()
    subprocess.run(asked, check=True, capture_output=True)
    seconds = time.perf_counter() - start
    with capsys.disabled():
        print(f"\na sweep estimated at {estimate:.0f} s took {seconds:.0f} s", end="")
    note("a sweep estimated", "wall clock", estimate=estimate, seconds=seconds)
    assert abs(estimate / seconds - 1) <= 0.25
