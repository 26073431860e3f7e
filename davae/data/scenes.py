"""Captioned scenes, drawn by rule: shapes of a size, colour and texture, so many, laid out so.

Deterministic and unlimited: scene number i of a split is a function of (seed, split, i). The
texture alternates from pixel to pixel of the full resolution and every 2 x 2 block of it has mean
0, so that an image reduced by 2 does not show it (but for 2% of the range, where a bicubic filter
reaches across a shape's edge): only detail channels can carry it. A tenth of the
combinations (shape, colour, texture) is held out: they occur in no training scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from davae.core import keyed
from davae.data.source import Split

SHAPES = ("circle", "square", "triangle", "cross", "ring", "diamond")
COLOURS = {
    "red": (190, 50, 45),
    "green": (60, 150, 65),
    "blue": (55, 80, 190),
    "yellow": (200, 180, 55),
    "purple": (130, 60, 160),
    "orange": (205, 120, 50),
    "cyan": (60, 170, 180),
    "pink": (205, 120, 160),
}
BACKGROUNDS = {"black": (30, 30, 30), "grey": (110, 110, 110), "white": (225, 225, 225)}
TEXTURES = ("smooth", "striped", "barred", "checkered")
"""striped: upright lines; barred: level lines; each one pixel wide."""
SIZES = {"small": 0.085, "large": 0.14}
"""Half the side of a shape, as a share of the image's."""
COUNTS = ("one", "two", "three")
LAYOUTS = ("in a row", "in a column", "on a diagonal")
SPOTS = ("on the left", "in the middle", "on the right")
"""Where a single shape stands."""
AMPLITUDE = 28
"""Of the texture, in 0..255."""
HELDOUT_TENTHS = 1
CAPTION_FORMS = 3


@dataclass(frozen=True)
class Scene:
    """What a scene shows; `caption` says all of it."""

    shape: str
    size: str
    colour: str
    texture: str
    count: int
    layout: str
    """One of LAYOUTS, or of SPOTS where the count is 1."""
    background: str

    def caption(self, form: int = 0) -> str:
        """The scene in words, in one of three orders of the same facts."""
        plural = "es" if self.shape == "cross" else "s"
        thing = f"{self.texture} {self.colour} {self.shape}{plural if self.count > 1 else ''}"
        many = COUNTS[self.count - 1]
        return (
            f"{many} {self.size} {thing} {self.layout} on a {self.background} background",
            f"on a {self.background} background, {many} {self.size} {thing} {self.layout}",
            f"{self.layout}: {many} {self.size} {thing}, {self.background} background",
        )[form]


def is_heldout(shape: str, colour: str, texture: str) -> bool:
    """Whether the combination is kept from every training scene."""
    return keyed.key(0, f"scenes/{shape}/{colour}/{texture}") % 10 < HELDOUT_TENTHS


def plan_scene(seed: int, split: Split, index: int) -> tuple[Scene, int]:
    """Scene number `index` of a split, shapes in turn, and the form of its caption."""

    def draw(what: str, among: Sequence[Any]) -> Any:
        return among[int(keyed.choose(seed, f"scene/{split}/{what}", 0, [index], len(among))[0])]

    shape = SHAPES[index % len(SHAPES)]
    pairs = [
        (c, t) for c in COLOURS for t in TEXTURES if is_heldout(shape, c, t) == (split == "heldout")
    ]
    colour, texture = draw("pair", pairs)
    count = draw("count", range(1, len(COUNTS) + 1))
    layout = draw("layout", LAYOUTS if count > 1 else SPOTS)
    size, background = draw("size", list(SIZES)), draw("background", list(BACKGROUNDS))
    return Scene(shape, size, colour, texture, count, layout, background), draw(
        "form", range(CAPTION_FORMS)
    )


def centres(scene: Scene) -> list[tuple[float, float]]:
    """(x, y) of each shape, in shares of the side."""
    if scene.count == 1:
        return [
            ({"on the left": 0.25, "in the middle": 0.5, "on the right": 0.75}[scene.layout], 0.5)
        ]
    along = [(i + 0.5) / scene.count * 0.9 + 0.05 for i in range(scene.count)]
    places = {
        "in a row": lambda a: (a, 0.5),
        "in a column": lambda a: (0.5, a),
        "on a diagonal": lambda a: (a, a),
    }
    return [places[scene.layout](a) for a in along]


def inside(shape: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether points, in units of half a side about the centre, belong to a shape."""
    r, m = np.hypot(x, y), np.maximum(abs(x), abs(y))
    return {
        "circle": r <= 1,
        "square": m <= 0.9,
        "ring": (r <= 1) & (r >= 0.55),
        "diamond": abs(x) + abs(y) <= 1.1,
        "triangle": (y <= 0.85) & (abs(x) <= (y + 1) * 0.55),
        "cross": (m <= 1) & (np.minimum(abs(x), abs(y)) <= 0.33),
    }[shape]


def texture_pattern(texture: str, side: int) -> np.ndarray:
    """The texture's sign at every pixel, [side, side]; each 2 x 2 block from an even corner sums to
    0."""
    row, column = np.indices((side, side))
    return {
        "smooth": np.zeros((side, side)),
        "striped": 1.0 - 2 * (column % 2),
        "barred": 1.0 - 2 * (row % 2),
        "checkered": 1.0 - 2 * ((row + column) % 2),
    }[texture]


def draw_scene(scene: Scene, side: int, shift: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """uint8 [3, side, side], the shapes shifted by shares of the side.

    The texture fills the 2 x 2 blocks that lie wholly inside a shape.
    """
    if side % 2 or side < 32:
        raise ValueError(f"scenes have an even side of 32 px or more, not {side}")
    image = np.empty((side, side, 3))
    image[:] = BACKGROUNDS[scene.background]
    x, y = np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5)
    half = SIZES[scene.size] * side
    mask = np.zeros((side, side), bool)
    for cx, cy in centres(scene):
        mask |= inside(
            scene.shape, (x - (cx + shift[0]) * side) / half, (y - (cy + shift[1]) * side) / half
        )
    blocks = mask.reshape(side // 2, 2, side // 2, 2).all((1, 3)).repeat(2, 0).repeat(2, 1)
    image[mask] = COLOURS[scene.colour]
    image[blocks] += AMPLITUDE * texture_pattern(scene.texture, side)[blocks][:, None]
    return image.round().clip(0, 255).astype(np.uint8).transpose(2, 0, 1)


def scenes(
    side: int, seed: int, split: Split, indices: list[int]
) -> tuple[np.ndarray, list[str], list[Scene]]:
    """uint8 images [n, 3, side, side], their captions and what they show, shapes shifted by up to
    5%."""
    images, captions, shown = np.empty((len(indices), 3, side, side), np.uint8), [], []
    for row, index in enumerate(
        tqdm(indices, desc=f"scenes ({split})", unit="img", delay=2, leave=False)
    ):
        scene, form = plan_scene(seed, split, index)
        shift = [
            float(keyed.uniform(seed, f"scene/{split}/{a}", 0, [index])[0]) * 0.1 - 0.05
            for a in "xy"
        ]
        images[row] = draw_scene(scene, side, (shift[0], shift[1]))
        captions.append(scene.caption(form))
        shown.append(scene)
    return images, captions, shown
