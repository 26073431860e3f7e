"""The distance of samples to what their own decoder makes of real crops."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from davae.core.presets import PRESETS
from davae.core.records import check_same, read_measurements
from davae.core.runtime import Runtime
from davae.data.shards import Shards
from davae.models.davae import DAVAE
from davae.stages.artifacts import MODEL, crops
from davae.stages.autoencoder import raw_detail
from davae.stages.graph import analyses, graph
from davae.stages.own import make_own_distance
from davae.stages.scoring import decode_all
from davae.stages.stage import Work

NANO = PRESETS["nano"]


@pytest.mark.parametrize("method", ["davae", "native", "base_upsampled", "control_decoded"])
def test_every_way_of_decoding_has_a_distance_of_its_own(nano, method):
    pipeline, _, _ = nano
    e = replace(NANO, method=method)
    stages = {**graph(e), **analyses(e)}
    measured = read_measurements(pipeline.path(stages["own_distance"]))
    assert {row for row, _ in measured} == {{"davae": "adapted"}.get(method, method)}
    assert "okd_effnet" in {m.metric for _, m in measured}
    own, samples = (
        np.load(pipeline.path(stages[role]) / "images.npy") for role in ("own_images", "samples")
    )
    assert own.shape[1:] == samples.shape[1:]


def test_ways_of_several_decoders_stand_in_one_table(nano):
    pipeline, _, _ = nano
    said = set()
    for method in ("davae", "native", "base_upsampled"):
        e = replace(NANO, method=method)
        measured = read_measurements(pipeline.path({**graph(e), **analyses(e)}["own_distance"]))
        said |= {m.protocol for _, m in measured if m.metric == "okd_effnet"}
    check_same(said)


def test_few_are_decoded_where_few_are_judged(nano):
    pipeline, _, _ = nano
    few = replace(NANO, eval=replace(NANO.eval, count=60))
    latents = pipeline.path(analyses(few)["own_images"].upstream["sampled"]) / "latents.npy"
    every = pipeline.path(analyses(NANO)["own_images"].upstream["sampled"]) / "latents.npy"
    np.testing.assert_array_equal(np.load(latents), np.load(every)[:60])


def test_own_images_are_the_reconstructions(nano):
    pipeline, _, _ = nano
    stages = {**graph(NANO), **analyses(NANO)}
    own = np.load(pipeline.path(stages["own_images"]) / "images.npy")
    model = DAVAE.from_pretrained(pipeline.path(stages["davae"]) / MODEL).eval()
    real = crops(pipeline.path(stages["crops"]), "heldout")[0][: len(own)]
    base = Shards(pipeline.path(stages["base_latents"]) / "heldout")[:].numpy()
    detail = raw_detail(model, real, Runtime())
    images = np.empty_like(own)
    with torch.no_grad():
        decode_all(model, base[: len(own)], lambda rows: detail[rows], Runtime(), images)
    assert np.abs(images.astype(int) - own.astype(int)).max() <= 1  # rounding of float32 sums


def test_what_the_decoder_reaches_is_what_its_reconstructions_do(nano):
    pipeline, _, _ = nano
    names = ["psnr_db", "detail_accuracy", "content_accuracy"]
    e = replace(NANO, eval=replace(NANO.eval, metrics=("psnr", *names[1:])))
    stages = {**graph(e), **analyses(e)}
    own = dict_of(pipeline, stages["own_distance"], "adapted")
    reconstructed = dict_of(pipeline, stages["reconstruction"], "davae")
    assert [own[f"own_{name}"] for name in names] == pytest.approx(
        [reconstructed[name] for name in names], rel=1e-3
    )


def dict_of(pipeline, stage, row):
    """A row's measurements, by metric."""
    return {m.metric: m.value for at, m in read_measurements(pipeline.path(stage)) if at == row}


def test_images_are_nearest_to_themselves(tmp_path):
    rng = np.random.default_rng(0)
    own = rng.integers(0, 256, (8, 3, 64, 64), np.uint8)
    found = []
    for name, images in (("same", own), ("other", own // 2)):
        folders = {role: tmp_path / name / role for role in ("samples", "own", "crops", "out")}
        for folder in folders.values():
            folder.mkdir(parents=True)
        np.save(folders["samples"] / "images.npy", images)
        np.save(folders["own"] / "images.npy", own)
        np.save(folders["crops"] / "heldout_images.npy", own)
        np.save(folders["crops"] / "heldout_labels.npy", np.zeros(len(own)))
        out = folders.pop("out")
        make_own_distance(Work(out, folders, Runtime()), NANO.eval, "adapted")
        found += [m.value for _, m in read_measurements(out) if m.metric == "okd_effnet"]
    assert found[0] < 0 < found[1]  # the estimator is without bias, not without error
