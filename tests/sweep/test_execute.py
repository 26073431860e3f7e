"""Ablations at nano: records, tables, figures, the report over them."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ablations.align_weight import ABLATION as ALIGN_WEIGHT
from davae.core import records
from davae.core.presets import PRESETS
from davae.core.records import Measurement
from davae.sweep.ablation import Arm
from davae.sweep.arm import measure_arm
from reports.build import page
from tests.sweep.running import run_ablation


def test_an_ablation_runs_records_and_reports(nano, tmp_path):
    pipeline, out, _ = nano
    base = PRESETS["nano"]

    def arms(e):
        two = [arm for arm in ALIGN_WEIGHT.arms(e) if arm.name in ("lambda=0", "lambda=0.01")]
        broken = replace(e, davae=replace(e.davae, detail_channels=2))  # fewer than the base's 4
        return (*two, Arm("broken", "align_weight", 9.0, broken))

    ablation = replace(ALIGN_WEIGHT, arms=arms, floors={})  # at nano all detail has collapsed
    folder = run_ablation(ablation, base, preset="nano", seeds=[0], pipeline=pipeline, out=out)
    frame = records.load_records(folder)
    done = frame[frame["status"] == "ok"]
    assert sorted(done["arm"].unique()) == ["lambda=0", "lambda=0.01"]
    facts = {"detail_accuracy", "content_accuracy"}  # which photographs do not have
    assert set(done["metric"]) == set(ALIGN_WEIGHT.metrics) - facts
    assert frame.loc[frame["status"] == "failed", "error"].str.contains("cannot be grouped").all()
    text = (folder / "table.md").read_text()
    assert "exploratory" in text  # one seed decides nothing
    assert "Failed: broken" in text
    assert len(pd.read_csv(folder / "table.csv")) == 2
    assert list(pd.read_csv(folder / "findings.csv")["verdict"]) == ["exploratory"]
    assert "<!-- alignment loss -->" in (folder / "figure_fixed.svg").read_text()
    count = len(done)
    run_ablation(ablation, base, preset="nano", seeds=[0], pipeline=pipeline, out=out)
    again = records.load_records(folder)
    assert (again["status"] == "ok").sum() == count

    machine = {"cpu": "c", "cores": 2, "memory_gib": 1.0, "gpus": [], "threads": 2}
    about = {
        "machine": machine, "versions": {"torch": "x"}, "matmul_flops_per_second": 2e11,
        "convolution_flops_per_second": 1e11, "copy_bytes_per_second": 1e10,
    }  # fmt: skip
    scenario = {
        "stage": "decode",
        "resolution_px": 64,
        "tokens": 64,
        "batch": 8,
        "weights": "random",
        "flops_forward": 1e9,
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
    (out / "core.benchmark.json").write_text(json.dumps(bench))
    text = page(out)
    for part in (
        "align_weight at nano",
        "nano, base seed 0, seeds 0: means",
        "Cases of core",
        "200 GFLOP/s",
        "broken, seed 0",
    ):
        assert part in text, part


def test_what_reconstructions_and_samples_are_both_judged_by_is_of_the_samples(tmp_path):
    metrics = {"psnr_db": "PSNR", "fact": "fact", "gkd": "gKD"}
    written = {
        "reconstruction": {
            "davae": [("psnr_db", 30.0), ("fact", 1.0)], "davae_zeroed": [("fact", 0.5)],
        },
        "generation": {"adapted": [("fact", 0.75), ("gkd", 9.0)]},
    }  # fmt: skip
    for role, rows in written.items():
        (tmp_path / role).mkdir()
        measured = {row: [Measurement(*pair, n=9) for pair in pairs] for row, pairs in rows.items()}
        records.write_measurements(tmp_path / role, measured)

    class Stages:
        def stages(self):
            return {role: role for role in written}

    class Folders:
        def path(self, stage):
            return tmp_path / stage

    ablation = replace(ALIGN_WEIGHT, metrics=metrics, measured=tuple(written), claims=())
    found = {c["metric"]: c["value"] for c in measure_arm(ablation, Stages(), Folders())}
    assert found == {"psnr_db": 30.0, "fact": 0.75, "gkd": 9.0}
    alone = replace(ablation, measured=("reconstruction",))
    found = {c["metric"]: c["value"] for c in measure_arm(alone, Stages(), Folders())}
    assert found == {"psnr_db": 30.0, "fact": 1.0}


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
        assert 1 <= found[arm, "effective_rank_z_d_residual"] <= 12 + 1e-9
        excess = found[arm, "high_frequency_z_d"] - found[arm, "high_frequency_z"]
        assert found[arm, "high_frequency_excess"] == pytest.approx(excess)
    assert len(pd.read_csv(folder / "findings.csv")) == len(ABLATION.claims)
    for name in ("tsne.png", "spectrum.png", "figure.png"):
        assert np.asarray(Image.open(folder / name).convert("L")).std() > 5
    spectrum = (folder / "spectrum.svg").read_text()
    assert all(f"<!-- {title} -->" in spectrum for title in ("base z", "detail z_d", PLAIN))
    kept = set(frame["sidecar_structure"]) | set(frame["sidecar_spectrum"])
    assert {path.name for path in (folder / "sidecars").iterdir()} == kept
    assert len(kept) == 4
    assert (
        "metric | not aligned | aligned" in (folder / "table.md").read_text()
    )  # many metrics: an arm a column
