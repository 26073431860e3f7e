"""Reconstructions as they are judged."""

import pytest

from davae.core.presets import PRESETS
from davae.core.records import read_measurements
from davae.core.runtime import Runtime
from davae.stages.run_graph import run_stages
from davae.stages.stage import Work


@pytest.mark.parametrize("role", ["reconstruction", "baselines"])
def test_reconstructions_are_judged_in_float32(nano, tmp_path, role):
    """A run with bfloat16 products has the measurements of one without, from the same networks."""
    pipeline, _, _ = nano
    stage = run_stages(PRESETS["nano"])[role]
    inputs = {name: pipeline.path(upstream) for name, upstream in stage.upstream.items()}
    stage.make(Work(tmp_path, inputs, Runtime(dtype="bfloat16", threads=2)), **stage.config)
    expected = list(read_measurements(pipeline.path(stage)))
    assert list(read_measurements(tmp_path)) == expected
    assert {m.metric for _, m in expected} >= {"psnr_db"}
