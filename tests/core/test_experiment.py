"""The dataclasses of an experiment."""

import pytest

from davae.core.data_config import DataConfig
from davae.core.experiment import (
    AdaptConfig,
    BaseDiTConfig,
    BaseVAEConfig,
    SampleConfig,
    TrainConfig,
)
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


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: BaseVAEConfig(pretrained="x", kl_weight=1e-6),
            "kl_weight is 1e-06: base_vae.pretr",
        ),
        (lambda: BaseDiTConfig(pretrained="x", train=TrainConfig(steps=1)), "train is TrainConfig"),
        (lambda: AdaptConfig(schedule="constant", detail_warmup_steps=9), "has no warm-up"),
        (lambda: SampleConfig(guidance_scale=1.0, guidance_interval=(0.2, 1.0)), "no guidance"),
        (lambda: DataConfig(name="scenes", min_crop_px=32), "min_crop_px is 32: scenes are drawn"),
    ],
)
def test_settings_that_nothing_reads_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
