"""Captioned scenes, CLIP models through open_clip, and the score."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from davae.core.records import read_measurements
from davae.data.image_sets import ArrayImages
from davae.data.pixels import downsample, to_unit
from davae.data.scenes import (
    COLOURS,
    SHAPES,
    TEXTURES,
    Scene,
    draw_scene,
    is_heldout,
    plan_scene,
    scenes,
    texture_pattern,
)
from davae.features.clip import image_tower, load_clip, text_features
from davae.features.extract import extract
from davae.features.weights import MissingWeights
from davae.metrics.clip_score import clip_score, retrieval, similarities
from davae.stages.clip_tiny import clip_tiny_stage
from davae.train.clip import contrastive_loss
from tests.fingerprints import NANO_CLIP

SCENE = Scene("circle", "large", "red", "striped", 2, "in a row", "grey")


def test_captions_by_hand():
    assert SCENE.caption() == "two large striped red circles in a row on a grey background"
    single = replace(SCENE, count=1, layout="on the left", shape="cross")
    assert single.caption(1) == "on a grey background, one large striped red cross on the left"
    assert replace(single, count=3, layout="in a column").caption(2) == (
        "in a column: three large striped red crosses, grey background"
    )


def test_scenes_depend_on_their_index_alone():
    images, captions, shown = scenes(64, 3, "train", [5, 11, 400])
    again, text, _ = scenes(64, 3, "train", [400])
    assert (again[0] == images[2]).all()
    assert text[0] == captions[2]
    assert [s.shape for s in shown] == [SHAPES[5], SHAPES[5], SHAPES[4]]
    assert len(set(captions)) == 3
    assert (scenes(64, 4, "train", [400])[0] != again).any()


def test_heldout_combinations_never_occur_in_training():
    def combination(split, i):
        scene = plan_scene(0, split, i)[0]
        return scene.shape, scene.colour, scene.texture

    assert not any(
        is_heldout(*combination(split, i)) for split in ("train", "fresh") for i in range(600)
    )
    held = {combination("heldout", i) for i in range(600)}
    every = {(s, c, t) for s in SHAPES for c in COLOURS for t in TEXTURES if is_heldout(s, c, t)}
    assert held == every
    assert {s for s, _, _ in every} == set(SHAPES)


def test_texture_exists_at_the_high_resolution_only():
    for texture in TEXTURES:
        pattern = texture_pattern(texture, 8)
        assert (pattern.reshape(4, 2, 4, 2).mean((1, 3)) == 0).all()
        assert texture == "smooth" or (abs(pattern) == 1).all()
    for side in (64, 256):
        plain = to_unit(draw_scene(replace(SCENE, texture="smooth"), side)[None])
        for texture in TEXTURES[1:]:
            drawn = to_unit(draw_scene(replace(SCENE, texture=texture), side)[None])
            assert (drawn - plain).abs().max() > 0.2
            for antialias in (False, True):
                gone = downsample(drawn, 2, antialias) - downsample(plain, 2, antialias)
                assert gone.abs().max() < 0.04
            assert torch.allclose(F.avg_pool2d(drawn, 2), F.avg_pool2d(plain, 2), atol=1e-6)


def test_shapes_have_their_number_and_place():
    image = draw_scene(Scene("square", "small", "red", "smooth", 3, "in a column", "black"), 64)
    red = image[0] > 100
    rows = red.any(1)
    assert (np.diff(rows.astype(int)) == 1).sum() == 3
    assert (np.diff(red.any(0).astype(int)) == 1).sum() == 1
    left = (
        draw_scene(Scene("circle", "small", "red", "smooth", 1, "on the left", "black"), 64)[0]
        > 100
    )
    assert np.flatnonzero(left.any(0)).mean() == pytest.approx(15.5, abs=1)
    with pytest.raises(ValueError, match="even side"):
        draw_scene(SCENE, 33)


def test_similarities_and_control_by_hand():
    images = np.array([[3.0, 0.0], [0.0, 2.0], [1.0, 1.0], [-1.0, 0.0]])
    texts = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    assert similarities(images, texts).tolist() == pytest.approx([100, 0, 100 / np.sqrt(2), 0])
    assert similarities(images, texts, clamp=False)[3] == -100
    assert similarities(images, texts, scale=2.5)[0] == 2.5
    own = np.eye(4)
    found = clip_score(own, own, list("abcd"))
    assert (found.score.value, found.shuffled.value) == (100.0, 0.0)
    assert retrieval(own, own) == 1.0
    assert retrieval(own, np.roll(own, 1, 0)) == 0.0


def test_the_control_gives_no_image_its_own_text():
    captions = np.eye(3)[[0, 1, 2, 0, 1, 2]]
    for seed in range(5):
        assert clip_score(captions, captions, list("abcabc"), seed).shuffled.value == 0.0


def test_contrastive_loss_closed_form():
    rows = F.normalize(torch.eye(4), dim=1)
    expected = -torch.log_softmax(torch.tensor([2.0, 0.0, 0.0, 0.0]), 0)[0]
    assert contrastive_loss(rows, rows, torch.tensor(2.0)) == pytest.approx(float(expected))


@pytest.fixture(scope="module")
def nano_clip(nano):
    """A clip_tiny of a few steps: its folder and the values measured."""
    folder = nano[0].path(clip_tiny_stage(NANO_CLIP))
    return folder / "clip_tiny", read_measurements(folder)


def test_clip_score_agrees_with_a_direct_computation(nano_clip):
    import open_clip
    from PIL import Image

    folder, values = nano_clip
    assert [v.metric for v in values] == ["retrieval_top1"]
    images, captions, _ = scenes(64, 0, "heldout", list(range(6)))
    clip = load_clip(str(folder))
    seen = extract(image_tower(clip), ArrayImages("x", images))
    found = clip_score(seen, text_features(clip, captions), captions).score.value
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(captions)
    with torch.no_grad():
        x = model.eval().encode_image(
            torch.stack([preprocess(Image.fromarray(i.transpose(1, 2, 0))) for i in images])
        )
        y = model.encode_text(tokens)
    direct = 100 * F.cosine_similarity(x, y).clamp(min=0).mean()
    assert found == pytest.approx(float(direct), rel=1e-4)


def test_truncation_keeps_the_end_token(nano_clip):
    clip = load_clip(str(nano_clip[0]))
    long = " ".join(["striped"] * 60)
    tokens = clip.tokenizer([long, "red circle"])
    end = clip.tokenizer.eot_token_id
    assert tokens.shape == (2, 32)
    assert tokens[0, -1] == end
    assert (tokens[0] == end).sum() == 1
    assert tokens[1, 3] == end
    beyond = text_features(clip, [long, long + " circle"])
    np.testing.assert_array_equal(beyond[0], beyond[1])  # what differs lies past the context


def test_missing_clip_weights_say_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("DAVAE_WEIGHTS", str(tmp_path))
    with pytest.raises(
        MissingWeights, match=r"ViT-B-32-openai\.safetensors.*Get it from https.*clip_tiny"
    ):
        load_clip("ViT-B-32/openai")
    with pytest.raises(ValueError, match="tags of 'ViT-B-32': openai"):
        load_clip("ViT-B-32/nonsense")
    with pytest.raises(ValueError, match="no such model"):
        load_clip("nothing")
    with pytest.raises(ValueError, match=r"tokenizer .* nothing is downloaded unasked"):
        load_clip("ViT-B-16-SigLIP/webli")


def test_a_tag_brings_its_activation_and_preprocessing(tmp_path, monkeypatch):
    import open_clip
    from safetensors.torch import save_file

    monkeypatch.setenv("DAVAE_WEIGHTS", str(tmp_path))
    (tmp_path / "open_clip").mkdir()
    torch.manual_seed(0)
    random = open_clip.create_model("RN50").state_dict()
    save_file(
        {k: v.contiguous() for k, v in random.items()},
        tmp_path / "open_clip" / "RN50-openai.safetensors",
    )
    clip = load_clip("RN50/openai")
    assert "QuickGELU" in str(clip.model.transformer)
    assert image_tower(clip).dimensions == 1024
    assert (
        clip.preprocess.transforms[-1].mean
        == open_clip.get_pretrained_cfg("RN50", "openai")["mean"]
    )
