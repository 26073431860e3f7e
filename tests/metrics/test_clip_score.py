"""CLIP score and its control."""

import numpy as np
import pytest

from davae.metrics.clip_score import clip_score, retrieval, similarities


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
