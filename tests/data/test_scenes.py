"""Drawn scenes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

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
