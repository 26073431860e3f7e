"""Plans count the real architectures: known parameter counts, known FLOPs, and the closed forms."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from davae.cli.plan import run
from davae.core.presets import PRESETS
from davae.core.records import load_records
from davae.models.davae import DAVAE
from davae.models.unweighted import architecture, davae_config, tokens
from davae.plan.count import count
from davae.plan.describe import describe
from davae.plan.shares import PEAK_TFLOPS, SHARES, Shares
from davae.plan.stages import forwards

RESULTS = Path(__file__).parents[2] / "results"


def closed(e):
    return architecture(e).closed_form(
        tokens(e), davae_config(e).latent_channels * e.base_dit.patch_size**2
    )


def test_sd35_medium_has_its_known_counts():
    e = PRESETS["sd35m_1k"]
    found = count(e)
    assert found.transformer == 2_243_171_520
    assert found.lora == 244_973_568  # 244.97 M
    assert (
        found.widened == 1536 * 16 * 4 + (1536 + 1) * 16 * 4
    )  # the embedder's new columns, the head's new rows
    base_layers = 1536 * 16 * 4 + 1536 + (1536 + 1) * 16 * 4
    assert found.trained == found.lora + found.widened + base_layers
    assert found.text == 123_650_304 + 694_659_840 + 4_762_310_656  # CLIP-L, CLIP-bigG, T5-XXL
    assert tokens(e) == 32 * 32
    assert found.forward / 1e12 == pytest.approx(2.443, abs=2e-3)
    assert found.native_forward / 1e12 == pytest.approx(11.250, abs=2e-3)
    assert found.native_decode / 1e12 == pytest.approx(10.472, abs=2e-3)
    assert closed(e) == pytest.approx(found.forward, rel=1e-3)
    # forward, the gradient of what lies between, and the adapters' own gradients: between 2 and 3
    # forwards and more
    assert 2 < found.training_step / found.forward < 3


def test_imagenet_has_its_known_counts():
    e = PRESETS["imagenet512"]
    found = count(e)
    assert found.transformer + found.widened + found.positions == 675_482_048
    assert found.positions == 294_912
    assert (found.davae_frozen, found.davae_trained) == (28_417_408, 72_363_699)
    assert found.trained == found.transformer + found.widened
    assert closed(e) == pytest.approx(found.forward, rel=1e-3)
    assert found.training_step == pytest.approx(3 * found.forward, rel=1e-2)


def test_a_small_preset_is_what_a_run_trains():
    e = PRESETS["nano"]
    found = count(e)
    davae = DAVAE(**vars(davae_config(e)))
    frozen = sum(p.numel() for p in davae.parameters() if not p.requires_grad)
    assert (found.davae_frozen, found.davae_frozen + found.davae_trained) == (
        frozen, sum(p.numel() for p in davae.parameters()),
    )  # fmt: skip
    assert forwards(e) == 2 * e.sample.num_inference_steps
    assert closed(e) == pytest.approx(found.forward, rel=3e-3)  # 8/3 of the width is rounded down


def test_scale_4_has_a_quarter_of_the_side():
    e = PRESETS["sd35m_1k"]
    wide = replace(e, data=replace(e.data, resolution_px=2048, scale=4))
    assert tokens(wide) == tokens(e)
    assert wide.names()["davae"] == "f32c32p2"


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_has_a_plan_within_a_minute_and_4_gb(name):
    code = (
        "import resource, sys; from davae.cli.main import main; sys.argv = ['davae', "
        "'plan', sys.argv[1]]\n"
    )
    code += "try: main()\nfinally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    done = subprocess.run(
        [sys.executable, "-c", code, name], capture_output=True, text=True, timeout=60, check=True
    )
    assert int(done.stdout.split()[-1]) < 4_000_000
    assert PRESETS[name].names()["davae"] in done.stdout
    assert "H200" in done.stdout


def test_the_assumed_share_scales_the_prediction():
    e = PRESETS["tiny"]

    def rate(share):
        lines = describe("tiny", e, Shares(sampling=share)).splitlines()
        return float(next(line for line in lines if "A100" in line).split()[1])

    assert rate(0.5) == pytest.approx(2 * rate(0.25), rel=1e-3)
    with pytest.raises(ValueError, match="lies in"):
        Shares(training=35)


def test_meta_networks_hold_no_memory():
    with torch.device("meta"):
        assert architecture(PRESETS["flux_1k"]).build().proj_out.weight.device.type == "meta"


def test_every_stage_of_a_plan_has_its_time_memory_and_disk(tmp_path):
    e, table = PRESETS["imagenet512"], tmp_path / "plan.csv"
    found = count(e)
    describe("imagenet512", e, table=table)
    committed = RESULTS / "plans" / "h100" / "imagenet512.csv"
    assert table.read_text() == committed.read_text()
    rows = pd.read_csv(table).set_index("stage")
    hours = 140_000 * 640 * found.training_step / (989e12 * 0.15) / 3600
    assert rows.loc["adapted", "hours"] == pytest.approx(hours, rel=1e-5)
    losses = 100_000 * 32 * (found.davae_step + found.losses) / (989e12 * 0.07) / 3600
    assert rows.loc["davae", "hours"] == pytest.approx(losses, rel=1e-5)
    images = 2 * 1_229_920 + 2 * 50_000
    assert rows.loc["crops", "disk GiB"] == pytest.approx(images * 3 * 512**2 / 2**30, rel=1e-5)
    assert rows.loc["base_latents", "disk GiB"] == pytest.approx(
        images * 4 * 32 * 256 / 2**30, rel=1e-5
    )
    assert rows["GPU GiB"].max() < 0.9 * 78
    assert rows.loc["adapted", "settings"] == "micro_batch 80"


def test_a_plan_that_does_not_fit_is_refused_with_what_would(capsys):
    assert run(["imagenet512", "--runtime.micro-batch", "640"]) == 2
    said = capsys.readouterr().err
    assert "davae takes" in said
    assert "with --runtime.micro_batch 32 (its whole batch); what fits" in said
    assert "--runtime.micro_batch 8" in said
    assert "adapted takes" in said  # every stage that does not fit is named
    assert run(["imagenet512", "--runtime.micro-batch", "8"]) == 0
    assert "micro_batch 8" in capsys.readouterr().out
    assert run(["imagenet512", "--gpu-gib", "10"]) == 2
    assert "no setting; on a100 or h100 or h200 it would" in capsys.readouterr().err
    assert run(["imagenet512", "--gpu-gib", "-5"]) == 2
    assert "give what it has" in capsys.readouterr().err


@pytest.mark.parametrize("gpu", ["h100", "h200"])
def test_the_usual_shares_are_those_that_were_measured(gpu):
    cases = load_records(RESULTS / gpu / "gpu.benchmark.json").set_index("arm")
    for share, case in {
        "sampling": "sd35m_1k-widened-sample-b10-bfloat16",
        "training": "imagenet512-widened-train-b64-bfloat16",
        "autoencoder": "imagenet512-widened-train_vae-b4-bfloat16",
    }.items():
        one = cases.loc[f"test_scenario[{case}]"]
        measured = one["img_per_s"] * one["flops_image"] / (PEAK_TFLOPS[gpu.upper()] * 1e12)
        assert getattr(SHARES[gpu.upper()], share) == pytest.approx(measured, abs=0.006)
