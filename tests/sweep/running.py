"""Running an ablation as tests do: in this process, over a store of their own."""

from functools import partial
from pathlib import Path

from ablations._load import load
from davae.core import records
from davae.core.presets import PRESETS
from davae.core.runtime import Runtime
from davae.stages.stage import Pipeline
from davae.sweep.execute import run_sweeps
from davae.sweep.launch import here
from davae.sweep.sweep import Sweep

TOY = str(Path(__file__).parent / "toy.py")


def sweep(out, seeds=(0, 1)):
    return Sweep(partial(load, TOY), PRESETS["nano"], "nano", seeds, out)


def run(out, launch=None, seeds=(0, 1)):
    """The records of the toy ablation."""
    if launch is None:
        launch = partial(here, pipeline=Pipeline.at(out / "store", Runtime()))
    one = sweep(out, seeds)
    run_sweeps([one], launch)
    return records.load_records(one.folder / "records.jsonl")


def run_ablation(ablation, base, *, preset, seeds, pipeline, out, names=()):
    """Run an ablation here, one arm after the other; the folder of its records."""
    sweep = Sweep(lambda: ablation, base, preset, tuple(seeds), out, names)
    run_sweeps([sweep], partial(here, pipeline=pipeline))
    return sweep.folder
