"""What test_ranks.py launches: `torchrun ranked.py STORE STOP ROLE ...` builds stages of an
experiment of 20 steps; at step STOP of the adaptation the last rank is killed, if it is not 0."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

from davae.core.presets import PRESETS
from davae.core.ranks import ranks
from davae.core.runtime import Runtime
from davae.stages.run_graph import run_stages
from davae.stages.stage import Pipeline
from davae.train.loop import Trainer

STEPS = 20


def experiment():
    """nano with longer trainings and an alignment whose weight is a ratio of gradients.

    The DA-VAE's learning rate is the paper's: at nano's own, ten times as high, Adam makes of the
    rounding of gradients that are zero what differs by 1.3e-5 after 16 steps."""
    nano = PRESETS["nano"]
    davae = replace(nano.davae, align_weight=0.5, align_mode="gradient_ratio", align_clamp=1e8)
    return replace(
        nano,
        davae=replace(davae, train=replace(davae.train, steps=STEPS, lr=1e-4)),
        adapt=replace(nano.adapt, train=replace(nano.adapt.train, steps=STEPS, snapshots=(5,))),
    )


def build(store, *roles):
    """The stages' folders."""
    runtime = Runtime(threads=1, checkpoint_seconds=0.0)
    pipeline = Pipeline.at(Path(store), runtime, lambda text: None, from_scratch=True)
    stages = run_stages(experiment())
    return [pipeline.path(stages[role]) for role in roles]


def killing(step, stop):
    """A step of the trainer that kills the last rank."""

    def stepped(trainer):
        last = ranks().rank == ranks().count - 1
        if trainer.task.name == "adaptation" and trainer.state.step == stop and last:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(trainer)

    return stepped


if __name__ == "__main__":
    store, stop, *roles = sys.argv[1:]
    if int(stop):
        Trainer.step = killing(Trainer.step, int(stop))
    build(store, *roles)
