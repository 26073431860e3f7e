"""The pipeline at nano: table, records, fingerprints, kills, ablation, report, commands."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from davae.analysis.tables import RUN_ROWS, run_table, to_markdown
from davae.cli.guard import guard
from davae.core import records
from davae.core.presets import PRESETS
from davae.run.execute import run_experiment, run_name
from davae.sweep.ablation import Arm
from davae.sweep.execute import run_ablation
from reports.page import page
from tests.fingerprints import COMMITTED, all_fingerprints, differences


def test_a_run_makes_every_row_and_picture(nano):
    _, out, result = nano
    frame = records.load_records(out)
    table = run_table(records.latest(frame))
    assert list(table["row"]) == [name for row, name in RUN_ROWS.items() if row != "base_upsampled"]
    by_row = table.set_index("row")
    assert by_row["PSNR dB"].notna().sum() == 6
    assert by_row["gKD"].notna().sum() == 3
    for name in ("samples.png", "reconstruction.png", "curves.png", "table.csv"):
        assert (result.folder / name).stat().st_size > 0
    assert len(list((result.folder / "curves").glob("*.csv"))) == 6
    stages = frame[frame["metric"] == "seconds"]
    assert (stages["value"] > 0).all()
    assert frame["git_sha"].notna().all()
    assert (result.folder / "table.csv").read_text().count("\n") == len(table) + 1


def test_the_control_is_trained_as_many_flops_as_the_adaptation(nano):
    _, out, _ = nano
    frame = records.latest(records.load_records(out))
    value = frame.set_index(["arm", "metric"])["value"]
    adaptation = value["stage:adapted", "steps"] * value["stage:adapted", "flops_step"]
    control = value["stage:control", "steps"] * value["stage:control", "flops_step"]
    assert abs(control - adaptation) <= value["stage:control", "flops_step"] / 2
    assert value["stage:control", "parameters"] == value["stage:base_dit", "parameters"]


def test_a_rerun_computes_and_records_nothing(nano):
    pipeline, out, result = nano
    before = (result.folder / "records.jsonl").read_bytes()
    announced = []
    again = run_experiment(
        PRESETS["nano"], "nano", replace(pipeline, announce=announced.append), out
    )
    assert announced == []
    assert (result.folder / "records.jsonl").read_bytes() == before
    assert again.table == result.table


def test_stage_outputs_are_the_committed_fingerprints(nano):
    committed, now = json.loads(COMMITTED.read_text()), all_fingerprints(nano[0])
    advice = "; if it is meant, raise the stage's version and run `python -m tests.fingerprints`"
    assert sorted(now) == sorted(committed), "stages came or went" + advice
    for role, print_ in now.items():
        old = committed[role]
        assert (print_["version"], print_["key"]) == (old["version"], old["key"]), (
            f"{role}: another key" + advice
        )
        assert differences(old["files"], print_["files"]) == [], f"{role} changed" + advice


def test_fingerprints_see_a_small_change(nano):
    """One stage's weights do not pass for another's, nor one arm's metrics for another's."""
    now = {role: print_["files"] for role, print_ in all_fingerprints(nano[0]).items()}
    assert all(now.values())
    assert differences(now["base_dit"], now["control"])
    assert differences(now["reconstruction"], now["no_detail"])
    moved = json.loads(json.dumps(now["reconstruction"]))
    assert differences(now["reconstruction"], moved) == []
    moved["metrics.json davae psnr_db"][0] += 1.0
    assert differences(now["reconstruction"], moved) == ["metrics.json davae psnr_db"]


def run_nano(top: Path) -> subprocess.Popen:
    command = [
        sys.executable,
        "-c",
        "from davae.cli.main import main; main()",
        "run",
        "nano",
        "--out",
        str(top / "runs"),
    ]
    command += ["--store", str(top / "store"), "--runtime.checkpoint-seconds", "0"]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def test_killed_three_times_and_resumed_a_run_ends_the_same(nano, tmp_path):
    """SIGKILL at random moments of the work; the stable columns equal the uninterrupted run's, bit
    for bit."""
    seed = 20_261_124
    rng = random.Random(seed)
    for _ in range(3):
        process = run_nano(tmp_path)
        while not list(tmp_path.glob("store/*/*.partial")) and process.poll() is None:
            time.sleep(0.02)  # not at work yet
        time.sleep(rng.uniform(0.2, 3.0))
        assert process.poll() is None, f"random seed {seed}: ended before it was killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    process = run_nano(tmp_path)
    output, _ = process.communicate(timeout=400)
    assert process.returncode == 0, f"random seed {seed}: {output[-2000:]}"
    ours, theirs = (
        records.stable(records.load_records(top)) for top in (tmp_path / "runs", nano[1])
    )
    pd.testing.assert_frame_equal(
        ours, theirs, check_exact=True, obj=f"records (random seed {seed})"
    )


def test_an_overridden_run_has_a_folder_of_its_own():
    e = PRESETS["nano"]
    assert run_name(replace(e, seed=3), "nano") == "seed3"
    other = run_name(replace(e, davae=replace(e.davae, align_weight=0.5)), "nano")
    assert other.startswith("seed0-")
    assert other != run_name(replace(e, davae=replace(e.davae, align_weight=0.6)), "nano")


def test_an_ablation_runs_records_and_reports(nano, tmp_path):
    from ablations.align_weight import ABLATION

    pipeline, out, _ = nano
    base = PRESETS["nano"]

    def arms(e):
        two = ABLATION.arms(e)[:2]
        broken = replace(e, davae=replace(e.davae, detail_channels=2))  # fewer than the base's 4
        return (*two, Arm("broken", "align_weight", 9.0, broken))

    ablation = replace(ABLATION, arms=arms)
    folder = run_ablation(ablation, base, preset="nano", seeds=[0], pipeline=pipeline, out=out)
    frame = records.load_records(folder)
    done = frame[frame["status"] == "ok"]
    assert sorted(done["arm"].unique()) == ["lambda=0", "lambda=0.01"]
    assert set(done["metric"]) == set(ABLATION.metrics)
    assert frame.loc[frame["status"] == "failed", "error"].str.contains("cannot be grouped").all()
    text = (folder / "table.md").read_text()
    assert "undecided" in text  # one seed decides nothing
    assert "Failed: broken" in text
    for name in ("figure.svg", "figure.png", "table.csv", "findings.csv"):
        assert (folder / name).stat().st_size > 0
    count = len(done)
    run_ablation(ablation, base, preset="nano", seeds=[0], pipeline=pipeline, out=out)
    again = records.load_records(folder)
    assert (again["status"] == "ok").sum() == count

    machine = {"cpu": "c", "cores": 2, "memory_gib": 1.0, "gpus": [], "threads": 2}
    about = {"machine": machine, "versions": {"torch": "x"}, "matmul_flops_per_second": 2e11}
    scenario = {
        "stage": "decode",
        "resolution_px": 64,
        "tokens": 64,
        "batch": 8,
        "weights": "random",
        "flops": 1e9,
    }
    case = {
        "name": "t",
        "stats": {"median": 0.5, "rounds": 3, "data": [0.5]},
        "extra_info": scenario,
    }
    bench = {
        "commit_info": {"git_sha": "", "git_dirty": False},
        "datetime": "2026-01-01",
        "benchmarks": [case],
    }
    bench["machine_info"] = {"davae": about}
    (out / "core.json").write_text(json.dumps(bench))
    report = page(out, out / "report.md")
    for part in (
        "## Run: `nano`, seeds 0",
        "## Ablation: `align_weight`",
        "| t | decode |",
        "| 16 |",
        "samples.png",
        "200 GFLOP/s",
    ):
        assert part in report, part
    with pytest.raises(ValueError, match="no records below"):
        page(tmp_path, tmp_path / "r.md")


def test_the_latents_of_both_arms_are_measured_and_drawn(nano):
    from ablations.latent_structure import ABLATION, ALIGNED, PLAIN

    pipeline, out, _ = nano
    folder = run_ablation(
        ABLATION, PRESETS["nano"], preset="nano", seeds=[0], pipeline=pipeline, out=out
    )
    frame = records.load_records(folder)
    assert set(frame["status"]) == {"ok"}
    assert sorted(frame["arm"].unique()) == sorted([ALIGNED, PLAIN])
    assert set(frame["metric"]) == set(ABLATION.metrics)
    found = frame.set_index(["arm", "metric"])["value"]
    for arm in (ALIGNED, PLAIN):
        assert found[arm, "cka_z"] == pytest.approx(1.0)
        assert 1 <= found[arm, "effective_rank_z"] <= 4 + 1e-9
        assert (
            1 <= found[arm, "effective_rank_z_d_orthogonal"] <= 8 + 1e-9
        )  # 12 channels less 4 groups
        excess = found[arm, "high_frequency_z_d"] - found[arm, "high_frequency_z"]
        assert found[arm, "high_frequency_excess"] == pytest.approx(excess)
    for name in ("tsne.png", "spectrum.svg", "spectrum.png", "figure.png", "findings.csv"):
        assert (folder / name).stat().st_size > 0
    kept = set(frame["sidecar_structure"]) | set(frame["sidecar_spectrum"])
    assert {path.name for path in (folder / "sidecars").iterdir()} == kept
    assert len(kept) == 4
    assert (
        "metric | not aligned | aligned" in (folder / "table.md").read_text()
    )  # many metrics: an arm a column


def test_markdown_by_hand():
    table = pd.DataFrame({"a": ["x", "y"], "b": [1.23456, float("nan")], "c": [10, 20_000]})
    assert to_markdown(table).splitlines()[2:] == ["| x | 1.235 | 10 |", "| y | – | 20,000 |"]


@pytest.mark.parametrize(
    ("error", "code"),
    [(ValueError("bad"), 2), (FloatingPointError("nan"), 3), (KeyboardInterrupt(), 130)],
)
def test_errors_become_lines_and_exit_codes(error, code, capsys):
    def fails():
        raise error

    assert guard(fails) == code
    assert "Traceback" not in capsys.readouterr().err


def davae(*args: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", "from davae.cli.main import main; main()", *args],
        capture_output=True,
        text=True,
    )


def test_the_command_line_teaches():
    top = davae("--help")
    assert top.returncode == 0
    assert "davae run PRESET" in top.stdout
    options = davae("run", "tiny", "--help").stdout
    for name in (
        "--davae.align-weight",
        "--data.antialias",
        "--adapt.train.lr",
        "--runtime.device",
        "lambda_align",
    ):
        assert name in options, name
    wrong = davae("run", "huge")
    assert wrong.returncode == 2
    assert "nano, smoke, tiny" in wrong.stderr
    bad = davae("run", "nano", "--data.scale", "3")
    assert bad.returncode == 2
    assert "does not divide" in bad.stderr + bad.stdout


def test_import_is_light():
    code = "import sys, davae; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
