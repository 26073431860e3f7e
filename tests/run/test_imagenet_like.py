"""Every stage of a narrow copy of `imagenet512` on files of every kind."""

import numpy as np
import pytest

from davae.core.runtime import Runtime
from davae.core.store import Store, read_log
from davae.data.center import plan
from davae.data.crops import load_source
from davae.run.execute import run_experiment
from davae.stages.run_graph import run_stages
from davae.stages.stage import Pipeline
from tests.imagenet_like import CLASSES, narrow, truncate, write_tree

COUNT = 120


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    top = tmp_path_factory.mktemp("tree")
    write_tree(top, COUNT)
    return top


def test_a_narrow_run_takes_files_of_every_kind(tree, tmp_path):
    e = narrow(tree, tmp_path, 64, COUNT)
    pipeline = Pipeline(Store(tmp_path / "store"), Runtime(), lambda text: None)
    result = run_experiment(e, "imagenet512", pipeline, tmp_path / "runs")
    assert np.load(result.samples).shape == (e.eval.count or e.data.eval_crops, 3, 64, 64)
    stages = run_stages(e)
    for role in ("davae", "adapted", "control"):
        lines = read_log(pipeline.path(stages[role]))
        assert all(np.isfinite(line.get("loss", 0.0)) for line in lines)
    crops = np.load(pipeline.path(stages["crops"]) / "train_images.npy")
    source = load_source(e.data)
    drawn = plan(source, e.data_seed, "train", len(crops))
    assert len({(crop.label, crop.region) for crop in drawn}) == len(crops)  # each file once
    assert len(np.unique(crops.reshape(len(crops), -1), axis=0)) == len(crops)
    assert len(source.classes) == CLASSES


def test_a_truncated_file_is_named_before_anything_is_trained(tree, tmp_path):
    top = tmp_path / "tree"
    write_tree(top, COUNT)
    path = truncate(top)
    e = narrow(top, tmp_path, 64, COUNT)
    pipeline = Pipeline(Store(tmp_path / "store"), Runtime(), lambda text: None)
    with pytest.raises(ValueError, match=path.name):
        run_experiment(e, "imagenet512", pipeline, tmp_path / "runs")
    assert not (tmp_path / "store" / "davae").exists()
