"""Drawn scenes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from davae.data.pixels import downsample, to_unit
from davae.data.scenes import (
    AMPLITUDE,
    CLASSES,
    COLOURS,
    ENGRAVINGS,
    GAPS_PX,
    SHAPES,
    Scene,
    draw_scene,
    engrave,
    is_heldout,
    line_blocks,
    plan_scene,
    scenes,
)

SCENE = Scene("square", "upright", "red", "grey", "large", "in the middle", 0.5, 0.5, 0.3, lines=7)


def test_captions_by_hand():
    assert SCENE.caption() == (
        "a large red square with upright lines in the middle on a grey background"
    )
    cross = replace(SCENE, shape="cross", engraving="plain", spot="on the left", size="small")
    assert cross.caption(1) == ("on a grey background, a small red cross without lines on the left")
    assert replace(cross, engraving="crossed").caption(2) == (
        "on the left: a small red cross with crossed lines, grey background"
    )


def test_scenes_depend_on_their_index_alone():
    images, captions, shown = scenes(64, 3, "train", [5, 11, 400])
    again, text, _ = scenes(64, 3, "train", [400])
    assert (again[0] == images[2]).all()
    assert text[0] == captions[2]
    assert [s.label for s in shown] == [5, 11, 400 % 24]
    assert len(set(captions)) == 3
    assert (scenes(64, 4, "train", [400])[0] != again).any()


def test_a_class_is_a_shape_and_an_engraving():
    assert len(CLASSES) == len(SHAPES) * len(ENGRAVINGS) == 24
    scene = plan_scene(0, "fresh", 14)[0]
    assert f"{scene.shape}, {scene.engraving}" == CLASSES[14] == "cross, level"
    assert scene.label == 14


def test_one_colour_of_a_class_is_held_out():
    def combination(split, i):
        scene = plan_scene(0, split, i)[0]
        return scene.shape, scene.colour, scene.engraving

    assert not any(
        is_heldout(*combination(split, i)) for split in ("train", "fresh") for i in range(600)
    )
    every = {(s, c, e) for s in SHAPES for c in COLOURS for e in ENGRAVINGS if is_heldout(s, c, e)}
    assert {combination("heldout", i) for i in range(24)} == every
    assert len(every) == 24
    colours = [c for _, c, _ in every]
    assert {colours.count(c) for c in COLOURS} == {3}


def test_words_of_size_and_place_are_told_apart():
    drawn = [plan_scene(1, "train", i)[0] for i in range(400)]
    half = {word: [s.half for s in drawn if s.size == word] for word in ("small", "large")}
    assert max(half["small"]) < 0.27 < min(half["large"])
    for s in drawn:
        assert s.half <= s.x <= 1 - s.half
        assert s.half <= s.y <= 1 - s.half
        side = (s.x - 0.5) / (0.5 - s.half)
        assert {"on the left": side < -0.4, "on the right": side > 0.4}.get(s.spot, abs(side) < 0.3)


def test_lines_stand_at_the_gaps():
    starts = np.flatnonzero(line_blocks(2000, 5))
    gaps = 2 * np.diff(starts)
    assert set(gaps) == set(GAPS_PX)
    assert 2 * starts[0] < max(GAPS_PX)
    assert (line_blocks(2000, 6) != line_blocks(2000, 5)).any()


def test_an_engraving_by_hand():
    block = engrave("upright", 64, 3).reshape(32, 2, 32, 2).transpose(0, 2, 1, 3)
    lines = line_blocks(32, 3)
    assert (block[:, lines] == [[1, -1], [1, -1]]).all()
    assert (block[:, ~lines] == 0).all()
    crossed = engrave("crossed", 64, 3).reshape(32, 2, 32, 2).transpose(0, 2, 1, 3)
    rows, columns = line_blocks(32, 4), line_blocks(32, 3)
    assert (crossed[rows][:, columns] == [[1, 0], [0, -1]]).all()
    assert (crossed[rows][:, ~columns] == [[1, 1], [-1, -1]]).all()
    assert not engrave("plain", 64, 3).any()


def test_an_engraving_exists_at_the_high_resolution_only():
    for side in (64, 256):
        plain = to_unit(draw_scene(replace(SCENE, engraving="plain"), side)[None])
        for engraving in ("upright", "level", "crossed"):
            engraved = to_unit(draw_scene(replace(SCENE, engraving=engraving), side)[None])
            assert (engraved - plain).abs().max() > 1.9 * AMPLITUDE / 255
            gone = downsample(engraved, 2, False) - downsample(plain, 2, False)
            assert gone.abs().max() < 0.075  # of 2; where two lines leave a trace in one pixel
            assert torch.allclose(F.avg_pool2d(engraved, 2), F.avg_pool2d(plain, 2), atol=1e-6)


def test_a_shape_has_its_place_and_colour():
    image = draw_scene(replace(SCENE, x=0.4, y=0.6, half=0.25, engraving="plain"), 64)
    inside = (image == np.array(COLOURS["red"])[:, None, None]).all(0)
    assert np.flatnonzero(inside.any(0)).mean() == pytest.approx(0.4 * 64 - 0.5, abs=1)
    assert np.flatnonzero(inside.any(1)).mean() == pytest.approx(0.6 * 64 - 0.5, abs=1)
    assert inside.sum() == pytest.approx((2 * 0.9 * 0.25 * 64) ** 2, rel=0.1)
    with pytest.raises(ValueError, match="even side"):
        draw_scene(SCENE, 33)
