"""What is judged is decoded in float32, whatever the runtime's products are."""

import numpy as np
import pytest

from davae.core.presets import PRESETS
from davae.core.records import read_measurements
from davae.core.runtime import Runtime
from davae.stages.run_graph import run_stages
from davae.stages.samples import IMAGES
from davae.stages.stage import Work


def made(pipeline, role, folder):
    """A stage of the nano run made again with bfloat16 products from the run's own networks, and
    where the run has left it."""
    stage = run_stages(PRESETS["nano"])[role]
    inputs = {name: pipeline.path(upstream) for name, upstream in stage.upstream.items()}
    stage.make(Work(folder, inputs, Runtime(dtype="bfloat16", threads=2)), **stage.config)
    return pipeline.path(stage)


@pytest.mark.parametrize("role", ["reconstruction", "baselines"])
def test_reconstructions_are_judged_in_float32(nano, tmp_path, role):
    expected = list(read_measurements(made(nano[0], role, tmp_path)))
    assert list(read_measurements(tmp_path)) == expected
    assert {m.metric for _, m in expected} >= {"psnr_db"}


@pytest.mark.parametrize("role", ["samples", "control_samples"])
def test_samples_are_decoded_in_float32(nano, tmp_path, role):
    expected = np.load(made(nano[0], role, tmp_path) / IMAGES)
    np.testing.assert_array_equal(np.load(tmp_path / IMAGES), expected)
    assert np.ptp(expected) > 100
