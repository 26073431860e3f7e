"""Named experiments."""

from __future__ import annotations

from dataclasses import replace

from davae.config import (
    AdaptConfig,
    BaseDiTConfig,
    BaseVAEConfig,
    DataConfig,
    DetailConfig,
    EvalConfig,
    Experiment,
    SampleConfig,
    TrainConfig,
)

NANO = Experiment(
    data=DataConfig(train_crops=260, eval_crops=247),
    base_vae=BaseVAEConfig(
        block_out_channels=(16, 16, 32),
        norm_num_groups=8,
        train=TrainConfig(steps=12, batch_size=8, lr=2e-3, lr_warmup_steps=4, lr_schedule="cosine"),
    ),
    base_dit=BaseDiTConfig(
        hidden_size=32,
        depth=1,
        num_heads=2,
        train=TrainConfig(steps=20, batch_size=16, lr=3e-3, lr_warmup_steps=5, ema_decay=0.99),
    ),
    davae=DetailConfig(train=TrainConfig(steps=8, batch_size=8, lr=1e-3, lr_warmup_steps=2, lr_schedule="cosine")),
    adapt=AdaptConfig(
        detail_warmup_steps=2, train=TrainConfig(steps=4, batch_size=16, lr=3e-3, lr_warmup_steps=1, ema_decay=0.9)
    ),
    sample=SampleConfig(num_inference_steps=2, batch_size=128),
    eval=EvalConfig(input_px=32, blocks=3, probe_blocks=3),
)
"""Every stage in seconds, for tests and CI; the quality has no meaning."""

SMOKE = Experiment(
    data=DataConfig(train_crops=2_600, eval_crops=403),
    base_vae=BaseVAEConfig(
        block_out_channels=(32, 32, 64),
        kl_weight=1e-5,
        train=TrainConfig(steps=1_200, batch_size=8, lr=2e-3, lr_warmup_steps=50, lr_schedule="cosine"),
    ),
    base_dit=BaseDiTConfig(
        hidden_size=128, num_heads=4, train=TrainConfig(steps=700, batch_size=24, lr=1e-3, ema_decay=0.99)
    ),
    davae=DetailConfig(
        align_weight=0.01,
        train=TrainConfig(steps=160, batch_size=8, lr=1e-3, lr_warmup_steps=20, lr_schedule="cosine"),
    ),
    adapt=AdaptConfig(
        detail_warmup_steps=50, train=TrainConfig(steps=140, batch_size=24, lr=1e-3, lr_warmup_steps=20, ema_decay=0.98)
    ),
    sample=SampleConfig(num_inference_steps=10, guidance_scale=2.0),
    eval=EvalConfig(blocks=5),
)
"""The first run: pictures appear and tables have sense, in minutes on 2 cores."""

TINY = Experiment(
    base_vae=BaseVAEConfig(
        kl_weight=1e-5,
        train=TrainConfig(steps=5_000, batch_size=8, lr=1.5e-3, lr_warmup_steps=200, lr_schedule="cosine"),
    ),
    base_dit=BaseDiTConfig(
        train=TrainConfig(steps=6_000, batch_size=24, lr=1e-3, lr_warmup_steps=200, ema_decay=0.999),
    ),
    davae=DetailConfig(
        train=TrainConfig(steps=600, batch_size=8, lr=1e-3, lr_warmup_steps=50, lr_schedule="cosine"),
    ),
    adapt=AdaptConfig(
        detail_warmup_steps=300,
        train=TrainConfig(steps=1_000, batch_size=24, lr=1e-3, lr_warmup_steps=50, ema_decay=0.995),
    ),
    sample=SampleConfig(num_inference_steps=20),
)
"""The CPU reproduction: 64 px photographs, f4c4p1 at 32 px (64 tokens) widened to f8c16p1."""

TINY_ARM = replace(
    TINY,
    davae=replace(TINY.davae, train=replace(TINY.davae.train, steps=200, lr_warmup_steps=20)),
    adapt=replace(
        TINY.adapt, detail_warmup_steps=120, train_crops=8_190,
        train=replace(TINY.adapt.train, steps=400, lr_warmup_steps=20, ema_decay=0.99),
    ),
    sample=replace(TINY.sample, num_inference_steps=7),
)  # fmt: skip
"""An arm of an ablation at `tiny`: the same data and base models, 0.3 to 0.4 of the training, fewer sampling steps."""

PRESETS: dict[str, Experiment] = {"nano": NANO, "smoke": SMOKE, "tiny": TINY}

ARMS: dict[str, Experiment] = {**PRESETS, "tiny": TINY_ARM}
"""What the arms of an ablation start from, by preset."""
