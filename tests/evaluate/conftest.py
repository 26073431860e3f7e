import pytest

from davae.core.runtime import Runtime
from davae.core.store import Store
from davae.stages.stage import Pipeline


@pytest.fixture
def pipeline(tmp_path):
    return Pipeline(Store(tmp_path / "store"), Runtime(), announce=lambda text: None)
