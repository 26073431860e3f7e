"""Image files as RGB: turned as their EXIF says, of any mode, 16 bits reduced to 8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from davae.data.archive import Held, Member

File = Path | Member | Held

ORIENTATION = 0x0112
SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that exchange width and height."""


def upright_size(file: File) -> tuple[int, int]:
    """(width, height) as the image is seen, from its header alone."""
    with file.open("rb") as stream, Image.open(stream) as image:
        width, height = image.size
        sideways = image.getexif().get(ORIENTATION) in SIDEWAYS
    return (height, width) if sideways else (width, height)


def read_rgb(file: File) -> Image.Image:
    """The image as it is seen, in RGB.

    Transparent pixels keep their colour. Modes of 16 bits are divided by 257, so that white stays
    white; Pillow's own conversion cuts them off at 255."""
    with file.open("rb") as stream, Image.open(stream) as image:
        image.load()
        upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I"):  # I;16 and what Pillow makes of it
        values = np.asarray(upright).astype(np.float64) / 257
        upright = Image.fromarray(np.rint(values.clip(0, 255)).astype(np.uint8))
    return upright.convert("RGB")
