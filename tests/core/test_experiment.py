"""The dataclasses of an experiment."""

import pytest

from davae.core.experiment import DataConfig, TrainConfig
from davae.core.presets import PRESETS


def test_configs_refuse_what_cannot_be():
    with pytest.raises(ValueError, match="does not divide"):
        DataConfig(resolution_px=65)
    with pytest.raises(ValueError, match=r"data\.path is empty"):
        DataConfig(name="folder")
    with pytest.raises(ValueError, match="batch_size is 0"):
        TrainConfig(batch_size=0)


def test_names_are_computed():
    assert PRESETS["tiny"].names() == {"base": "f4c4p1", "davae": "f8c16p1"}
    assert PRESETS["tiny"].latent_size == 8
