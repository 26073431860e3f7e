"""davae run at nano: rows, records, pictures, kills."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from davae.analysis.tables import RUN_ROWS, run_table
from davae.core import records
from davae.core.presets import PRESETS
from davae.core.store import Store
from davae.data.pixels import to_uint8
from davae.data.scenes import CLASSES
from davae.data.shards import Shards
from davae.method.latent import join
from davae.run import pictures
from davae.run.execute import run_experiment, run_name
from davae.stages.artifacts import class_names, crops, load_davae
from davae.stages.autoencoder import raw_detail
from davae.stages.run_graph import run_stages
from davae.stages.stage import Pipeline, Work


def picture(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(float)


def test_a_run_makes_every_row_and_picture(nano):
    _, out, result = nano
    frame = records.load_records(out)
    table = run_table(records.latest(frame))
    further = ("repeat", "regressed", "native", "tuned")  # asked for, or of text to image
    assert list(table["row"]) == [t for row, t in RUN_ROWS.items() if row not in further]
    by_row = table.set_index("row")
    assert by_row["PSNR dB"].notna().sum() == 8
    assert by_row["gKD"].notna().sum() == 7
    assert by_row["FD of z"].notna().sum() == 6
    assert by_row["FD of z_d"].notna().sum() == 2  # adapted, and held-out crops
    assert by_row["nearest"].isna()["real fresh crops"]
    samples = picture(result.folder / "samples.png")
    reconstruction = picture(result.folder / "reconstruction.png")
    # 13 classes; real, 4 controls and adapted in 2 lines each; six reconstructions in one line each
    assert samples.shape[0] / samples.shape[1] == pytest.approx(12 / 13, rel=0.12)
    assert reconstruction.shape[0] / reconstruction.shape[1] == pytest.approx(6 / 13, rel=0.2)
    assert picture(result.folder / "curves.png").std() > 5
    assert len(list((result.folder / "curves").glob("*.csv"))) == 6
    stages = frame[frame["metric"] == "seconds"]
    assert (stages["value"] > 0).all()
    assert frame["git_sha"].notna().all()
    assert (result.folder / "table.csv").read_text().count("\n") == len(table) + 1


def test_the_pictures_show_the_images_that_they_name(nano, monkeypatch, tmp_path):
    pipeline = nano[0]
    stages = run_stages(PRESETS["nano"])
    drawn = {}

    def keep(path, rows, columns, inches=1.0):
        drawn[path.name] = rows
        assert len(columns) == (8 if path.name == "glance.png" else 13)

    monkeypatch.setattr(pictures, "image_rows", keep)
    generated = {"control": "control_generation", "adapted": "generation"}
    pictures.draw(tmp_path, pipeline, stages, generated)
    at_crops = pipeline.path(stages["crops"])
    fresh, labels = crops(at_crops, "fresh")
    samples = drawn["samples.png"]
    samples = dict(zip(["real", "control", "adapted"], samples.values(), strict=True))
    assert list(drawn["samples.png"])[1:] == [
        "control: base,\ntrained longer,\nenlarged", "adapted with DA-VAE"
    ]  # fmt: skip
    assert all(block.shape == (2, 13, 3, 64, 64) for block in samples.values())
    for place, label in np.ndindex(2, 13):
        assert np.array_equal(samples["real"][place, label], fresh[labels == label][place])
    for title, role in (("control", "control_samples"), ("adapted", "samples")):
        images = np.load(pipeline.path(stages[role]) / "images.npy")  # classes in turn
        assert np.array_equal(samples[title].reshape(-1, 3, 64, 64), images[:26])
    glance = drawn["glance.png"]
    assert list(glance) == ["base, longer,\nenlarged", "adapted with\nDA-VAE", "real"]
    for place, label in enumerate(pictures.glance_classes(class_names(at_crops))):
        assert np.array_equal(glance["real"][0, place], fresh[labels == label][0])
        assert np.array_equal(
            glance["adapted with\nDA-VAE"][0, place], samples["adapted"][0, label]
        )
    assert pictures.glance_classes(list(CLASSES)) == [1, 6, 11, 13, 18, 23]  # upright, level, ...
    shown = drawn["reconstruction.png"]
    assert list(shown) == ["original", "D = 0", "random", "zeroed", "exchanged", "DA-VAE"]
    heldout, labels = crops(at_crops, "heldout")
    for label in range(13):
        assert np.array_equal(shown["original"][0, label], heldout[labels == label][0])
    errors = {k: np.abs(v.astype(int) - shown["original"]).mean() for k, v in shown.items()}
    assert errors["original"] == 0
    assert len(set(errors.values())) == 6  # six different pictures


def test_exchanged_detail_is_that_of_the_crop_before(nano):
    """The rows `davae_exchanged`: each crop's own z beside its neighbour's z_d, the first one's
    beside the last's."""
    pipeline, stages = nano[0], run_stages(PRESETS["nano"])
    work = Work(Path("nowhere"), {r: pipeline.path(stages[r]) for r in ("davae", "crops")},
                pipeline.runtime)  # fmt: skip
    model = load_davae(work)
    heldout, labels = crops(pipeline.path(stages["crops"]), "heldout")
    base = Shards(pipeline.path(stages["base_latents"]) / "heldout")[:].numpy()
    detail = raw_detail(model, heldout, pipeline.runtime)
    shown = np.load(pipeline.path(stages["reconstruction"]) / "shown.npz")["davae_exchanged"]
    first = [int(np.flatnonzero(labels == k)[0]) for k in range(13)]
    latents = join(torch.from_numpy(base)[first], detail[[i - 1 for i in first]])
    with torch.no_grad():
        expected = to_uint8(model.decode_raw(latents))
    assert np.abs(shown[:13].astype(int) - expected).max() <= 1


def test_the_record_says_what_the_networks_were_trained_with(nano):
    trained = json.loads((nano[2].folder / "environment.json").read_text())["trained"]
    assert {"base_vae", "base_dit", "davae", "adapted", "control"} <= set(trained)
    assert {"key", "git_sha", "cpu", "threads", "dtype", "compile"} == set(trained["adapted"])


def test_every_stage_says_which_of_how_many_it_is(nano, tmp_path):
    said = []
    stages = run_stages(PRESETS["nano"])
    pipeline = Pipeline(Store(tmp_path), nano[0].runtime, said.append)
    counting = pipeline.counting([stages["base_latents"], stages["references"]])
    counting.path(stages["base_latents"])
    assert [line.rsplit(" ", 1)[0] for line in said] == [
        "stage 1 of 4: crops", "stage 2 of 4: base_vae", "stage 3 of 4: base_latents"
    ]  # fmt: skip


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
