"""Presets follow the recipes."""

from davae.core.experiment import (
    AdaptConfig,
    BaseDiTConfig,
    DetailConfig,
    FlowConfig,
    SampleConfig,
    TrainConfig,
)
from davae.core.presets import PRESETS


def test_the_recipes_are_the_papers():
    """PAPER: section 3 (ImageNet) and 4 (SD3.5-M)."""
    image, text = PRESETS["imagenet512"], PRESETS["sd35m_1k"]
    assert image.davae == DetailConfig(
        detail_channels=96,
        align_weight=0.5,
        align_mode="gradient_ratio",
        lpips_weight=1.0,
        gan_weight=0.1,
        gan_start_step=5_001,
        train=image.davae.train,
    )
    assert (image.davae.train.lr, image.davae.train.betas) == (1e-4, (0.5, 0.9))
    assert image.adapt == AdaptConfig(detail_warmup_steps=20_000, train=TrainConfig(
        steps=140_000, batch_size=640, lr=2e-4, lr_warmup_steps=0, ema_decay=0.999,
        epochs=True))  # fmt: skip
    assert image.sample == SampleConfig(249, "euler", 4.0, (0.2, 1.0), 0.3)
    assert text.adapt.lora_rank == 256
    assert (text.adapt.detail_warmup_steps, text.adapt.train.steps, text.adapt.train.lr) == (
        10_000,
        20_000,
        1e-4,
    )
    assert text.flow == FlowConfig(timestep_shift=0.25)  # 4 on sigma = 1 - t
    assert (text.davae.l1_weight, text.davae.kl_weight, text.davae.align_weight) == (2.0, 1e-7, 0.2)
    assert (text.davae.align_mode, text.davae.gan_weight, text.davae.clamp_base) == (
        "fixed",
        0.0,
        True,
    )
    assert text.base_dit == BaseDiTConfig(
        family="sd3", pretrained="stabilityai/stable-diffusion-3.5-medium", patch_size=2
    )
