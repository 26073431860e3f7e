"""Image files as RGB: turned as their EXIF says, of any mode, 16 bits reduced to 8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from davae.data.archive import Held, Member

File = Path | Member | Held

ORIENTATION = 0x0112
SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that exchange width and height."""
TURN = Image.Transpose
TURNS = {
    2: TURN.FLIP_LEFT_RIGHT, 3: TURN.ROTATE_180, 4: TURN.FLIP_TOP_BOTTOM, 5: TURN.TRANSPOSE,
    6: TURN.ROTATE_270, 7: TURN.TRANSVERSE, 8: TURN.ROTATE_90,
}  # fmt: skip
"""What sets an image of an EXIF orientation upright."""


def orientation(image: Image.Image) -> int:
    """As an opened file's header says it; 1 for a TIFF, which Pillow sets upright itself. A PNG's
    own method decodes the whole image for what may stand behind it, which is left out."""
    if image.format == "TIFF":
        return 1
    return int(Image.Image.getexif(image).get(ORIENTATION, 1))


def upright_size(file: File) -> tuple[int, int]:
    """(width, height) as the image is seen, from its header alone."""
    with file.open("rb") as stream, Image.open(stream) as image:
        width, height = image.size
        sideways = orientation(image) in SIDEWAYS
    return (height, width) if sideways else (width, height)


def read_rgb(file: File) -> Image.Image:
    """The image as it is seen, in RGB.

    Transparent pixels keep their colour. Modes of 16 bits are divided by 257, so that white stays
    white; Pillow's own conversion cuts them off at 255."""
    with file.open("rb") as stream, Image.open(stream) as image:
        turn = TURNS.get(orientation(image))
        image.load()
        upright = image if turn is None else image.transpose(turn)
    if upright.mode.startswith("I"):  # I;16 and what Pillow makes of it
        values = np.asarray(upright).astype(np.float64) / 257
        upright = Image.fromarray(np.rint(values.clip(0, 255)).astype(np.uint8))
    return upright.convert("RGB")
