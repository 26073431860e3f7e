"""2,000 files as ImageNet's are through every stage of a narrow copy of `imagenet512`, whose DA-VAE
takes an epoch and a half of them: a quarter of an hour."""

from dataclasses import replace

import numpy as np
import pytest

from davae.core.keyed import in_turn
from davae.core.runtime import Runtime
from davae.core.store import Store
from davae.run.execute import run_experiment
from davae.stages.run_graph import run_stages
from davae.stages.stage import Pipeline
from tests.imagenet_like import narrow, truncate, write_tree

COUNT, SIDE, BATCH = 2_000, 128, 32


@pytest.mark.accept
@pytest.mark.timeout(3_600)
def test_every_stage_takes_2_000_files_of_every_kind(tmp_path):
    top = tmp_path / "tree"
    write_tree(top, COUNT)
    e = narrow(top, tmp_path, SIDE, COUNT)
    train = replace(e.davae.train, batch_size=BATCH, steps=3 * e.data.train_crops // (2 * BATCH))
    e = replace(e, davae=replace(e.davae, train=train))
    pipeline = Pipeline(Store(tmp_path / "store"), Runtime(), print)
    run_experiment(e, "imagenet512", pipeline, tmp_path / "runs")
    crops = np.load(pipeline.path(run_stages(e)["crops"]) / "train_images.npy", mmap_mode="r")
    assert len(crops) == e.data.train_crops == 0.96 * COUNT
    taken = in_turn(e.data_seed, "davae/data", range(len(crops)), len(crops))
    assert sorted(taken.tolist()) == list(range(len(crops)))

    path = truncate(top)
    with pytest.raises(ValueError, match=path.name):
        run_experiment(e, "imagenet512", pipeline, tmp_path / "again")
