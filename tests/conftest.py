import os
from pathlib import Path

import pytest

from davae.core.presets import PRESETS
from davae.core.runtime import Runtime
from davae.core.store import Store
from davae.run.execute import RunResult, run_experiment
from davae.stages.stage import Pipeline
from tests.photo_crops import crops, write

os.environ.pop("PYTEST_XDIST_WORKER", None)  # pytest's benchmarks, which some tests start, refuse


def pytest_collection_modifyitems(items):
    """Of the processes that share the tests, one has all that need the nano run, which is made once
    then; otherwise a file's tests stay together."""
    for item in items:
        group = "nano" if "nano" in item.fixturenames else item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def nano(tmp_path_factory) -> tuple[Pipeline, Path, RunResult]:
    """The whole nano run, once a session: pipeline, output folder and result."""
    top = tmp_path_factory.mktemp("nano")
    pipeline = Pipeline(Store(top / "store"), Runtime(), announce=lambda text: None)
    return pipeline, top / "runs", run_experiment(PRESETS["nano"], "nano", pipeline, top / "runs")


@pytest.fixture
def sets(tmp_path) -> tuple[Path, Path]:
    """Two folders of 60 crops of a photograph: made, real."""
    return write(tmp_path / "made", crops(0)), write(tmp_path / "real", crops(1))
