"""How far samples are from real crops by a judge of another kind: the image tower of clip_tiny."""

from __future__ import annotations

import numpy as np

from davae.core.experiment import Experiment
from davae.core.records import write_measurements
from davae.data.image_sets import ArrayImages
from davae.data.source import Split
from davae.features.extract import Host, extract
from davae.features.registry import open_extractor
from davae.stages.artifacts import crops, images_hash
from davae.stages.clip_tiny import clip_tiny_stage
from davae.stages.judging import distances
from davae.stages.methods import Stages, method_of
from davae.stages.stage import Stage, Work
from davae.train.clip import ClipConfig


def tower_stage(e: Experiment, s: Stages, clip: ClipConfig | None = None) -> Stage:
    """The distance of the samples to the crops that they are judged against, `s` the stages of the
    experiment. clip: how the judge is trained; None: as it is for every other use."""
    config = {
        "arm": method_of(e).row,
        "count": e.eval.count,
        "against": s["generation"].config.get("against", "fresh"),
    }
    read = {"samples": s["samples"], "crops": s["crops"], "clip_tiny": clip_tiny_stage(clip)}
    return Stage("tower_distance", 1, make_tower_distance, config, read)


def make_tower_distance(work: Work, arm: str, count: int, against: Split) -> None:
    """gkd_clip_tiny: the kernel distance of the samples to real crops of a split, `count` of them
    where it is not 0."""
    device = work.runtime.device
    tower = open_extractor("clip", Host(device, lambda model: work.inputs["clip_tiny"] / model))
    real, _ = crops(work.inputs["crops"], against, count)
    samples = np.load(work.inputs["samples"] / "images.npy", mmap_mode="c")
    features, reference = (
        extract(tower, ArrayImages("images", images), device) for images in (samples, real)
    )
    said = f"{against} {images_hash(real)}"
    measured = distances(("kd",), tower, features, reference, said, "g")
    write_measurements(work.folder, {arm: measured})
