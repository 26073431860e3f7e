"""Folders of crops of a photograph, for judges."""

import numpy as np
from PIL import Image
from skimage import data


def crops(seed, n=60, side=48):
    """Crops of a photograph: features of noise would all be alike."""
    photo, rng = data.coffee(), np.random.default_rng(seed)
    corners = rng.integers(0, [400 - side, 600 - side], (n, 2))
    return np.stack([photo[y : y + side, x : x + side] for y, x in corners])


def write(folder, images):
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i:03d}.png")
    return folder
