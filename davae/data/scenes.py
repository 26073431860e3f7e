"""Captioned scenes, drawn by rule: one large shape engraved with fine lines, or with none.

Deterministic and unlimited: scene number i of a split is a function of (seed, split, i). The class
is the shape and its engraving; the colour, the size, the place and the background are free. A line
is a light row, or column, beside a dark one, so that every 2 x 2 block of the image keeps its mean:
plain at the full resolution, gone in the image reduced by 2 (but for 2% of the range, where a
bicubic filter reaches into the next block). What is engraved is therefore a fact that only detail
channels can carry; `davae.metrics.engraving` reads it back. One colour of every class is held out:
the combination occurs in no training scene.
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
    "red": (205, 55, 50),
    "green": (60, 150, 65),
    "blue": (55, 80, 205),
    "yellow": (205, 190, 60),
    "purple": (130, 55, 165),
    "orange": (205, 125, 50),
    "cyan": (55, 175, 190),
    "pink": (205, 125, 170),
}
BACKGROUNDS = {"black": (25, 25, 25), "grey": (115, 115, 115), "white": (235, 235, 235)}
ENGRAVINGS = {
    "plain": "without lines",
    "upright": "with upright lines",
    "level": "with level lines",
    "crossed": "with crossed lines",
}
"""What is engraved, and how a caption says it."""
CLASSES = tuple(f"{shape}, {engraving}" for shape in SHAPES for engraving in ENGRAVINGS)
SIZES = {"small": (0.2, 0.26), "large": (0.29, 0.35)}
"""Half the side of a shape, as a share of the image's: the range of each word."""
SPOTS = {"on the left": (-1.0, -0.5), "in the middle": (-0.25, 0.25), "on the right": (0.5, 1.0)}
"""Where the shape stands between the image's edges at -1 and 1: the range of each word."""
AMPLITUDE = 40
"""Of a line, in 0..255: one row lighter, one darker by it."""
GAPS_PX = (4, 6, 8)
"""Between the beginnings of two lines."""
CAPTION_FORMS = 3


@dataclass(frozen=True)
class Scene:
    """What a scene shows; `caption` says all of it but the exact place and size."""

    shape: str
    engraving: str
    colour: str
    background: str
    size: str
    spot: str
    x: float
    y: float
    half: float
    """The centre, and half the shape's side, in shares of the image's side."""
    lines: int = 0
    """Key of the gaps between the lines."""

    @property
    def label(self) -> int:
        """The class, an index into CLASSES."""
        return SHAPES.index(self.shape) * len(ENGRAVINGS) + tuple(ENGRAVINGS).index(self.engraving)

    def caption(self, form: int = 0) -> str:
        """The scene in words, in one of three orders of the same facts."""
        thing = f"{self.size} {self.colour} {self.shape} {ENGRAVINGS[self.engraving]}"
        return (
            f"a {thing} {self.spot} on a {self.background} background",
            f"on a {self.background} background, a {thing} {self.spot}",
            f"{self.spot}: a {thing}, {self.background} background",
        )[form]


def is_heldout(shape: str, colour: str, engraving: str) -> bool:
    """Whether the combination is kept from every training scene: one colour a class, each colour
    three times."""
    label = CLASSES.index(f"{shape}, {engraving}")
    return tuple(COLOURS)[3 * label % len(COLOURS)] == colour


def plan_scene(seed: int, split: Split, index: int) -> tuple[Scene, int]:
    """Scene number `index` of a split, classes in turn, and the form of its caption."""

    def draw(what: str, among: Sequence[Any]) -> Any:
        return among[int(keyed.choose(seed, f"scene/{split}/{what}", 0, [index], len(among))[0])]

    def within(what: str, span: tuple[float, float]) -> float:
        share = float(keyed.uniform(seed, f"scene/{split}/{what}", 0, [index])[0])
        return span[0] + share * (span[1] - span[0])

    shape, engraving = CLASSES[index % len(CLASSES)].split(", ")
    held = split == "heldout"
    colour = draw("colour", [c for c in COLOURS if is_heldout(shape, c, engraving) == held])
    background, size, spot = (
        draw(what, list(table))
        for what, table in (("background", BACKGROUNDS), ("size", SIZES), ("spot", SPOTS))
    )
    half = within("half", SIZES[size])
    x, y = within("x", SPOTS[spot]), within("y", (-1.0, 1.0))
    place = (0.5 + x * (0.5 - half), 0.5 + y * (0.5 - half))
    lines = keyed.key(seed, f"scene/{split}/lines", 0, index)
    scene = Scene(shape, engraving, colour, background, size, spot, *place, half, lines)
    return scene, draw("form", range(CAPTION_FORMS))


def inside(shape: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether points, in units of half a side about the centre, belong to a shape."""
    r, m = np.hypot(x, y), np.maximum(abs(x), abs(y))
    return {
        "circle": r <= 1,
        "square": m <= 0.9,
        "ring": (r <= 1) & (r >= 0.4),
        "diamond": abs(x) + abs(y) <= 1,
        "triangle": (y <= 0.9) & (abs(x) <= (y + 1) * 0.52),
        "cross": (m <= 1) & (np.minimum(abs(x), abs(y)) <= 0.42),
    }[shape]


def line_blocks(count: int, key: int) -> np.ndarray:
    """Which of `count` 2-px blocks a line stands in, bool [count], at gaps of GAPS_PX."""
    rng = np.random.default_rng(key)
    gaps = rng.choice(GAPS_PX, count) // 2
    starts = np.cumsum(gaps) - rng.integers(1, gaps[0] + 1)
    blocks = np.zeros(count, bool)
    blocks[starts[starts < count]] = True
    return blocks


def engrave(engraving: str, side: int, key: int) -> np.ndarray:
    """The lines over a whole image, [side, side] in -1..1; every 2 x 2 block from an even corner
    sums to 0.

    Where two lines cross, the block takes half of each."""
    light = np.tile([1.0, -1.0], side // 2)
    upright, level = (line_blocks(side // 2, key + i).repeat(2) for i in range(2))
    columns = np.broadcast_to(light * upright * (engraving in ("upright", "crossed")), (side, side))
    rows = np.broadcast_to(
        (light * level * (engraving in ("level", "crossed")))[:, None], (side, side)
    )
    return np.where((rows != 0) & (columns != 0), (rows + columns) / 2, rows + columns)


def draw_scene(scene: Scene, side: int) -> np.ndarray:
    """uint8 [3, side, side]; lines fill the 2 x 2 blocks that lie wholly inside the shape."""
    if side % 2 or side < 32:
        raise ValueError(f"scenes have an even side of 32 px or more, not {side}")
    x, y = np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5)
    half = scene.half * side
    mask = inside(scene.shape, (x - scene.x * side) / half, (y - scene.y * side) / half)
    blocks = mask.reshape(side // 2, 2, side // 2, 2).all((1, 3)).repeat(2, 0).repeat(2, 1)
    image = np.empty((side, side, 3))
    image[:] = BACKGROUNDS[scene.background]
    image[mask] = COLOURS[scene.colour]
    image += (AMPLITUDE * engrave(scene.engraving, side, scene.lines) * blocks)[..., None]
    return image.round().clip(0, 255).astype(np.uint8).transpose(2, 0, 1)


def scenes(
    side: int, seed: int, split: Split, indices: list[int]
) -> tuple[np.ndarray, list[str], list[Scene]]:
    """uint8 images [n, 3, side, side], their captions and what they show."""
    images, captions, shown = np.empty((len(indices), 3, side, side), np.uint8), [], []
    for row, index in enumerate(
        tqdm(indices, desc=f"scenes ({split})", unit="img", delay=2, leave=False)
    ):
        scene, form = plan_scene(seed, split, index)
        images[row] = draw_scene(scene, side)
        captions.append(scene.caption(form))
        shown.append(scene)
    return images, captions, shown
