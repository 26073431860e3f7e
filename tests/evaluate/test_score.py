"""davae eval on folders, arrays and published statistics."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from davae.core.records import Protocol, check_same
from davae.data.image_sets import ArrayImages
from davae.data.scenes import CLASSES, scenes
from davae.evaluate.reference import open_request, read_moments
from davae.evaluate.request import EvalRequest
from davae.evaluate.score import score
from davae.features.clip import image_tower, load_clip, text_features
from davae.features.extract import Extractor, extract
from davae.features.inception import PUBLISHED_NAMES, TORCHSCRIPT
from davae.metrics.clip_score import similarities
from davae.metrics.distribution import frechet, kernel
from davae.metrics.metric import FeaturePair
from davae.metrics.reconstruction import psnr
from davae.metrics.scoring import score_features
from davae.stages.clip_tiny import clip_tiny_stage
from tests.features.test_inception import FakeInception
from tests.fingerprints import NANO_CLIP
from tests.photo_crops import crops, write
from tests.small_models import effnet_features

PUBLISHED = Protocol("inception_legacy_tensorflow", "w", 6, "r", "q", 1, "VIRTUAL", 100)


SMALL = {"extractor": "effnet_lite0:input_px=32,blocks=3"}


def measured(request, pipeline):
    """The measurements of a request."""
    return score(request, pipeline).measured


def test_distances_are_those_of_the_features(sets, pipeline, tmp_path):
    made, real = sets
    request = EvalRequest(made, real, metrics=("fd", "kd", "fd_inf", "prdc"), **SMALL)
    rows = {r.metric: r for r in measured(request, pipeline)}
    x, y = (effnet_features(crops(s).transpose(0, 3, 1, 2), 32, 3) for s in (0, 1))
    assert rows["fd_effnet"].value == pytest.approx(frechet(x, y).value, rel=1e-6)
    assert rows["kd_effnet"].value == pytest.approx(kernel(x, y).value, rel=1e-6)
    assert "N = 60 < 10 d = 240" in rows["fd_effnet"].note
    assert {"precision_effnet", "recall_effnet", "density_effnet", "coverage_effnet"} <= set(rows)
    kept = list((tmp_path / "store" / "features").glob("*.npy"))
    assert len(kept) == 2
    again = {r.metric: r for r in measured(request, pipeline)}
    assert again == rows
    other = measured(
        replace(request, extractor="effnet_lite0:input_px=32,blocks=2"), pipeline
    )  # another depth of the same width
    assert other[0].value != rows["fd_effnet"].value
    with pytest.raises(ValueError, match="different protocols"):
        check_same([rows["fd_effnet"].protocol, other[0].protocol])
    assert len(list((tmp_path / "store" / "features").glob("*.npy"))) == 4


def test_unequal_numbers_are_an_error_that_says_how_to_go_on(sets, pipeline, tmp_path):
    fewer = write(tmp_path / "fewer", crops(2, 30))
    with pytest.raises(ValueError, match=r"30 images and 60 references.*--samples 30"):
        measured(EvalRequest(fewer, sets[1], **SMALL), pipeline)
    rows = measured(EvalRequest(fewer, sets[1], samples=30, **SMALL), pipeline)
    assert {r.n for r in rows} == {30}
    with pytest.raises(ValueError, match="--samples is 40 and fewer holds 30"):
        measured(EvalRequest(fewer, sets[1], samples=40, **SMALL), pipeline)


def test_pairs_are_matched_by_name(sets, pipeline, tmp_path):
    made, real = sets
    rows = measured(EvalRequest(made, real, metrics=("psnr", "ssim", "pd")), pipeline)
    assert [r.metric for r in rows] == ["psnr_db", "ssim", "pd_effnet"]
    assert rows[0].value == pytest.approx(psnr(crops(0), crops(1)).mean(), rel=1e-9)
    (made / "007.png").rename(made / "x.png")
    with pytest.raises(ValueError, match="without a partner: 007, x"):
        measured(EvalRequest(made, real, metrics=("psnr",)), pipeline)


def test_arrays_and_their_quantisation(pipeline, tmp_path):
    floats = crops(0).astype(np.float32) / 127.5 - 1 + 0.005
    np.save(tmp_path / "made.npy", floats)
    np.savez(tmp_path / "real.npz", crops(1))
    request = EvalRequest(tmp_path / "made.npy", tmp_path / "real.npz", metrics=("fd",), **SMALL)
    kinds = ("rounded", "truncated", "float")
    found = {q: measured(replace(request, quantisation=q), pipeline)[0] for q in kinds}
    assert len({r.value for r in found.values()}) == 3
    assert len({r.protocol for r in found.values()}) == 3
    with pytest.raises(ValueError, match="uint8"):
        measured(replace(request, metrics=("psnr",), quantisation="float"), pipeline)


def test_published_statistics(tmp_path):
    x = np.random.default_rng(0).standard_normal((100, 6))
    path = tmp_path / "VIRTUAL.npz"
    np.savez(path, mu=x.mean(0), sigma=np.cov(x, rowvar=False), mu_s=np.zeros(2), sigma_s=np.eye(2))
    moments = read_moments(path)
    pair = FeaturePair(x + 1, None, moments)
    inception = Extractor("inception", "w", 6, "r", None, None, published_names=PUBLISHED_NAMES)
    (found,) = score_features(("fd",), inception, pair, PUBLISHED)
    assert found.metric == "fid"
    assert found.value == pytest.approx(6.0, abs=1e-6)
    assert "not stated" in found.note
    np.savez(tmp_path / "images.npz", crops(0, 2))
    assert read_moments(tmp_path / "images.npz") is None


def test_published_statistics_take_their_own_extractor_only(sets, pipeline, tmp_path, monkeypatch):
    monkeypatch.setenv("DAVAE_WEIGHTS", str(tmp_path))
    torch.jit.script(FakeInception()).save(str(tmp_path / TORCHSCRIPT))
    np.savez(tmp_path / "adm.npz", mu=np.zeros(2048), sigma=np.zeros((2048, 2048)))
    request = EvalRequest(
        sets[0], tmp_path / "adm.npz", metrics=("fd",), extractor="inception_legacy_tensorflow"
    )
    row = measured(request, pipeline)[0]
    level = crops(0).mean((1, 2, 3)) / 128 - 1  # what the stand-in network gives, 2048 times
    assert row.value == pytest.approx(2048 * (level.mean() ** 2 + level.var(ddof=1)), rel=1e-4)
    assert "N = 60 <= d = 2048" in row.note
    for wrong in ("effnet_lite0", "inception_clean"):
        with pytest.raises(ValueError, match=r"two protocols.*inception_legacy_tensorflow"):
            measured(replace(request, extractor=wrong), pipeline)
    with pytest.raises(ValueError, match="use --metrics fd"):
        measured(replace(request, metrics=("fd", "kd")), pipeline)


def test_too_few_images_are_refused_before_anything_is_computed(sets, pipeline, tmp_path):
    few = write(tmp_path / "few", crops(3, 5))
    for metric, least in (("prdc", 6), ("is", 20)):
        with pytest.raises(ValueError, match=f"{metric} needs {least} images or more; few gives 5"):
            measured(EvalRequest(few, few, metrics=(metric,), **SMALL), pipeline)
    assert not (tmp_path / "store" / "features").exists()


def test_captions_follow_the_images_chosen(nano, tmp_path):
    """Images and captions of an array stay together when some are chosen."""
    pipeline = nano[0]
    images, captions, _ = scenes(64, 0, "heldout", list(range(12)))
    np.save(tmp_path / "x.npy", images)
    table = pd.DataFrame({"file": range(12), "caption": captions})
    table.to_csv(tmp_path / "captions.csv")
    model = pipeline.path(clip_tiny_stage(NANO_CLIP)) / "clip_tiny"
    request = EvalRequest(
        tmp_path / "x.npy", captions=tmp_path / "captions.csv", metrics=("clip",), samples=5
    )
    request = replace(request, clip_model=str(model))
    some = {r.metric: r for r in measured(request, pipeline)}
    chosen = [int(n) for n in open_request(request.images, request).names()]
    assert chosen != list(range(5))
    clip = load_clip(str(model))
    seen = extract(image_tower(clip), ArrayImages("x", images[chosen]))
    expected = similarities(seen, text_features(clip, [captions[i] for i in chosen])).mean()
    assert some["clip_tiny"].value == pytest.approx(expected, rel=1e-5)
    assert set(some) == {"clip_tiny", "clip_tiny_shuffled"}
    pd.concat([table, table]).to_csv(tmp_path / "captions.csv")
    with pytest.raises(ValueError, match="several captions of 0"):
        measured(request, pipeline)


def test_requests_that_do_not_fit_together(sets, pipeline, tmp_path):
    made, real = sets
    with pytest.raises(ValueError, match="--reference"):
        measured(EvalRequest(made), pipeline)
    with pytest.raises(ValueError, match="--captions"):
        measured(EvalRequest(made, metrics=("clip",)), pipeline)
    with pytest.raises(ValueError, match="--extractor clip:model=ViT-B-32/openai"):
        measured(EvalRequest(made, real, clip_model="ViT-B-32/openai"), pipeline)
    captions = tmp_path / "captions.csv"
    pd.DataFrame({"file": ["000.png"], "caption": ["coffee"]}).to_csv(captions)
    with pytest.raises(ValueError, match="not among the metrics"):
        measured(EvalRequest(made, real, captions=captions), pipeline)
    with pytest.raises(ValueError, match=r"no caption for 59 of 60 images, the first 001\.png"):
        measured(EvalRequest(made, captions=captions, metrics=("clip",)), pipeline)
    pd.DataFrame({"name": [1]}).to_csv(captions)
    with pytest.raises(ValueError, match="file and caption are needed"):
        measured(EvalRequest(made, captions=captions, metrics=("clip",)), pipeline)


def test_scenes_are_judged_by_the_class_that_their_folder_names(pipeline, tmp_path):
    drawn, _, shown = scenes(64, 0, "fresh", list(range(48)))
    for i, (image, scene) in enumerate(zip(drawn, shown, strict=True)):
        folder = tmp_path / "scenes" / CLASSES[scene.label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{i}.png")
    facts = ("detail_accuracy", "detail_amplitude", "detail_purity", "content_accuracy")
    found = {
        m.metric: m for m in measured(EvalRequest(tmp_path / "scenes", metrics=facts), pipeline)
    }
    assert found["detail_accuracy"].value == found["content_accuracy"].value == 1.0
    assert found["detail_amplitude"].value == pytest.approx(1, abs=0.06)
    assert found["detail_purity"].value == pytest.approx(1, abs=0.06)
    assert found["detail_accuracy"].n == 48
    assert found["detail_amplitude"].n == 36  # a quarter is plain
    assert "2x2 Haar coefficients" in found["detail_accuracy"].protocol
    (tmp_path / "scenes" / CLASSES[1]).rename(tmp_path / "scenes" / "round")
    with pytest.raises(ValueError, match=r"round/\d+\.png is in no folder of a class of scenes"):
        measured(EvalRequest(tmp_path / "scenes", metrics=facts), pipeline)


def test_samples_of_a_run_are_judged_by_the_classes_beside_them(pipeline, tmp_path):
    drawn, _, shown = scenes(64, 0, "fresh", list(range(24)))
    np.save(tmp_path / "images.npy", drawn)
    np.save(tmp_path / "labels.npy", [scene.label for scene in shown])
    request = EvalRequest(tmp_path / "images.npy", metrics=("detail_accuracy",))
    assert measured(request, pipeline)[0].value == 1.0
    np.save(tmp_path / "labels.npy", [scene.label for scene in shown][::-1])
    assert measured(request, pipeline)[0].value < 0.7
    (tmp_path / "images.npy").rename(tmp_path / "other.npy")
    with pytest.raises(ValueError, match="in no folder of a class"):
        measured(EvalRequest(tmp_path / "other.npy", metrics=("detail_accuracy",)), pipeline)
