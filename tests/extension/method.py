"""A method of one's own: noise, which every other should beat."""

import numpy as np

from davae.stages.methods import Method, register
from davae.stages.samples import save_images
from davae.stages.stage import Stage


def make_noise(work, count, side, classes):
    images = np.random.default_rng(0).integers(0, 256, (count, 3, side, side), np.uint8)
    save_images(work.folder, [images], np.arange(count) % classes)


def stages(e, so_far):
    config = {"count": e.data.eval_crops, "side": e.data.resolution_px, "classes": 13}
    return {"samples": Stage("noise", 1, make_noise, config)}


register(Method("noise", "noise", "pure noise", stages))
