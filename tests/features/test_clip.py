"""CLIP models."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from davae.core.records import read_measurements
from davae.data.image_sets import ArrayImages
from davae.data.scenes import (
    scenes,
)
from davae.features.clip import image_tower, load_clip, text_features
from davae.features.extract import extract
from davae.features.weights import MissingWeights
from davae.metrics.clip_score import clip_score
from davae.stages.clip_tiny import clip_tiny_stage
from tests.fingerprints import NANO_CLIP


@pytest.fixture(scope="module")
def nano_clip(nano):
    """A clip_tiny of a few steps: its folder and the values measured."""
    folder = nano[0].path(clip_tiny_stage(NANO_CLIP))
    return folder / "clip_tiny", read_measurements(folder)


def test_clip_score_agrees_with_a_direct_computation(nano_clip):
    import open_clip
    from PIL import Image

    folder, values = nano_clip
    assert [m.metric for _, m in values] == ["retrieval_top1"]
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
