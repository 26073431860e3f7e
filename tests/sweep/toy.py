"""An ablation of stages that only make up numbers, and fail in every way."""

import errno
import math
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

from davae.analysis.findings import Claim
from davae.core.keyed import normal
from davae.core.records import Measurement, write_measurements
from davae.stages.stage import Stage
from davae.sweep.ablation import Ablation, Arm

VERSION = int(os.environ.get("TOY_VERSION", "1"))


class Own(Exception):
    """An error of a user's own."""


def make_value(work, level, seed):
    """A value that scatters by seed about the level."""
    time.sleep(float(os.environ.get("TOY_SECONDS", "0")))
    if level == 7:
        raise FloatingPointError("the loss is nan at step 3")
    if level == 8:
        raise OSError(errno.ENOSPC, "No space left on device")
    if level == 6:
        raise RuntimeError("shapes 2 x 3\nand 4 x 5\n(see the docs)")
    if level == 5:
        raise KeyError("a mistake")
    if level == 4:
        raise Own("stop")
    if level == 4.5:
        raise SystemExit(0)
    if level == 9:
        os._exit(9)  # as a process that the system kills
    value = level + 0.1 * float(normal(seed, "toy", 0, [0], (1,))[0, 0])
    assert math.isfinite(value)
    names = os.environ.get("TOY_METRICS", "value").split()
    found = [Measurement(name, value, 1, protocol="p") for name in names]
    write_measurements(work.folder, {"toy": found})


@dataclass(frozen=True)
class ToyArm(Arm):
    """An arm of one stage."""

    def stages(self):
        """The made-up number of its level and seed."""
        e = self.experiment
        config = {"level": e.davae.align_weight, "seed": e.seed}
        return {"toy": Stage("toy", VERSION, make_value, config)}


def arms(base):
    """One arm a level that the environment names, and what it adds to each."""
    levels = [float(level) for level in os.environ.get("TOY_LEVELS", "1 2").split()]
    shift = float(os.environ.get("TOY_SHIFT", "0"))
    return tuple(
        ToyArm(f"level {level:g}", "level", level,
               replace(base, davae=replace(base.davae, align_weight=level + shift)), i == 0)
        for i, level in enumerate(levels)
    )  # fmt: skip


ABLATION = Ablation(
    name="toy",
    question="Are made-up numbers recorded?",
    arms=arms,
    metrics={"value": "value"},
    measured=("toy",),
    claims=(
        Claim(
            text="2 is more than 1", published="", metric="value", a="level 2", b="level 1",
            direction="higher",
        ),
    ),
)  # fmt: skip
FILE = Path(__file__)
