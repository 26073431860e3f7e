"""Named experiments, and what the arms of ablations start from."""

from __future__ import annotations

from dataclasses import dataclass, replace

from davae.core.data_config import DataConfig
from davae.core.experiment import (
    FACTS,
    RUN_METRICS,
    AdaptConfig,
    BaseDiTConfig,
    BaseVAEConfig,
    DetailConfig,
    EvalConfig,
    Experiment,
    FlowConfig,
    SampleConfig,
    TrainConfig,
)

FINE = EvalConfig(input_px=64, blocks=8)
"""The first protocol of a run: EfficientNet-Lite0 on 64 px images, its first eight blocks, 80
features, which see fine texture."""
CONTENT = "effnet_lite0:input_px=224,blocks=15"
"""The second: the same network as it was trained, on 224 px and 192 features. FACTS are the third,
where the data are scenes. All three were fixed before the runs that they judge."""

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
    davae=DetailConfig(
        train=TrainConfig(steps=8, batch_size=8, lr=1e-3, lr_warmup_steps=2, lr_schedule="cosine")
    ),
    adapt=AdaptConfig(
        detail_warmup_steps=2,
        train=TrainConfig(steps=4, batch_size=16, lr=3e-3, lr_warmup_steps=1, ema_decay=0.9),
    ),
    sample=SampleConfig(num_inference_steps=2, batch_size=128),
    eval=EvalConfig(input_px=32, blocks=3, probe_blocks=3),
)
"""Every stage in seconds, for tests and CI; the quality has no meaning."""

TINY = Experiment(
    data=DataConfig(name="scenes", eval_crops=1_950),
    autoencoder_data=("photos", "scenes"),
    shared_davae=True,
    base_vae=BaseVAEConfig(
        kl_weight=1e-5,
        l2_weight=4.0,
        train=TrainConfig(
            steps=8_000,
            batch_size=16,
            lr=1.5e-3,
            lr_warmup_steps=100,
            lr_schedule="cosine",
            round_weights=True,
        ),
    ),
    base_dit=BaseDiTConfig(
        train=TrainConfig(
            steps=24_000,
            batch_size=24,
            lr=1e-3,
            lr_warmup_steps=200,
            lr_schedule="cosine",
            ema_decay=0.999,
            round_weights=True,
        ),
    ),
    davae=DetailConfig(
        align_weight=0.01,
        l2_weight=8.0,
        haar_weight=8.0,
        train=TrainConfig(
            steps=8_000,
            batch_size=8,
            lr=2e-3,
            lr_warmup_steps=100,
            lr_schedule="cosine",
            round_weights=True,
        ),
    ),
    adapt=AdaptConfig(
        detail_warmup_steps=1_500,
        train=TrainConfig(
            steps=6_000,
            batch_size=24,
            lr=2e-3,
            lr_warmup_steps=50,
            lr_schedule="cosine",
            ema_decay=0.995,
        ),
    ),
    sample=SampleConfig(num_inference_steps=20, guidance_scale=2.0),
    eval=replace(FINE, metrics=(*RUN_METRICS, *FACTS), also=(CONTENT,)),
)
"""The CPU reproduction: 64 px scenes, f4c4p1 at 32 px (64 tokens) widened to f8c16p1, on the
shipped autoencoders and base DiT."""

TINY_PHOTOS = replace(
    TINY,
    data=DataConfig(name="photos", eval_crops=1_950),
    eval=replace(TINY.eval, metrics=RUN_METRICS),
)
"""The same on photographs, with the same autoencoders."""

SMOKE = replace(
    TINY,
    adapt=AdaptConfig(
        detail_warmup_steps=400,
        train_crops=6_144,
        train=TrainConfig(
            steps=2_000,
            batch_size=12,
            lr=2e-3,
            lr_warmup_steps=20,
            lr_schedule="cosine",
            ema_decay=0.995,
        ),
    ),
    sample=SampleConfig(num_inference_steps=10, guidance_scale=3.0),
    eval=replace(FINE, metrics=("psnr", *FACTS), count=240),
)
"""The first run: from the shipped models of `tiny`, an adaptation of minutes, judged by the facts
alone."""

IMAGENET512 = Experiment(
    data=DataConfig(
        name="folder",
        path="imagenet/train",
        resolution_px=512,
        train_crops=2 * 1_229_920,  # each training file both ways round: two epochs
        eval_crops=50_000,
        crop="center",
        heldout_fraction=0.04,  # of 1,281,167 files
    ),
    base_vae=BaseVAEConfig(
        pretrained="weights/vavae",
        latent_channels=32,
        block_out_channels=(128, 128, 256, 256, 512),
        layers_per_block=2,
        mid_attention=True,
    ),
    base_dit=BaseDiTConfig(
        pretrained="weights/lightningdit_xl",
        hidden_size=1152,
        depth=28,
        num_heads=16,
    ),
    davae=DetailConfig(
        detail_channels=96,
        align_weight=0.5,
        align_mode="gradient_ratio",
        lpips_weight=1.0,
        gan_weight=0.1,
        gan_start_step=5_001,
        train=TrainConfig(
            steps=100_000, batch_size=32, lr=1e-4, betas=(0.5, 0.9), lr_warmup_steps=0, epochs=True
        ),
    ),
    adapt=AdaptConfig(
        detail_warmup_steps=20_000,
        train=TrainConfig(
            steps=140_000, batch_size=640, lr=2e-4, lr_warmup_steps=0, ema_decay=0.999, epochs=True
        ),
    ),
    sample=SampleConfig(
        num_inference_steps=249,
        guidance_scale=4.0,
        guidance_interval=(0.2, 1.0),
        timestep_shift=0.3,
    ),
    eval=EvalConfig(input_px=224, blocks=15, probe_px=224),
)
"""The paper's ImageNet setting. Ours, where its text is silent: the DA-VAE's steps and batch. A
pretrained DiT keeps its own qk-norm."""

SD35M_1K = Experiment(
    data=DataConfig(
        name="folder",
        path="images",
        captions="captions.jsonl",
        resolution_px=1024,
        train_crops=100_000,
        eval_crops=5_000,
        min_crop_px=1024,
        max_crop_px=1024,
        short_side_px=1024,
        heldout_fraction=0.05,
    ),
    base_vae=BaseVAEConfig(
        pretrained="stabilityai/stable-diffusion-3.5-medium",
        subfolder="vae",
        latent_channels=16,
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        mid_attention=True,
    ),
    base_dit=BaseDiTConfig(
        family="sd3", pretrained="stabilityai/stable-diffusion-3.5-medium", patch_size=2
    ),
    davae=DetailConfig(
        detail_channels=16,
        align_weight=0.2,
        kl_weight=1e-7,
        l1_weight=2.0,
        lpips_weight=1.0,
        clamp_base=True,
        train=TrainConfig(
            steps=50_000,
            batch_size=16,
            lr=1e-4,
            betas=(0.9, 0.99),
            weight_decay=1e-4,
            lr_warmup_steps=0,
            epochs=True,
        ),
    ),
    adapt=AdaptConfig(
        detail_warmup_steps=10_000,
        lora_rank=256,
        stored_prompts=True,
        train=TrainConfig(
            steps=20_000,
            batch_size=128,
            lr=1e-4,
            betas=(0.9, 0.999),
            lr_warmup_steps=0,
            ema_decay=0.999,
            epochs=True,
        ),
    ),
    flow=FlowConfig(timestep_shift=0.25),
    sample=SampleConfig(
        num_inference_steps=28, guidance_scale=4.5, timestep_shift=1 / 3, batch_size=10
    ),
    eval=EvalConfig(input_px=224, blocks=15, probe_px=224),
)
"""The paper's SD3.5-Medium setting at 1024 px. Ours, where its text is silent: the data, both
batches and the DA-VAE's steps; 28 steps with guidance 4.5 and a shift of 3 on sigma = 1 - t, 1/3 on
t, are SD3's usual sampling."""

SD35M_2K = replace(
    SD35M_1K,
    data=replace(
        SD35M_1K.data, resolution_px=2048, min_crop_px=2048, max_crop_px=2048, short_side_px=2048
    ),
    davae=replace(SD35M_1K.davae, train=replace(SD35M_1K.davae.train, batch_size=4)),
    adapt=replace(SD35M_1K.adapt, train=replace(SD35M_1K.adapt.train, batch_size=32)),
    sample=replace(SD35M_1K.sample, batch_size=2),
)
"""The same at 2048 px; the batches are ours."""

FLUX_1K = replace(
    SD35M_1K,
    base_vae=replace(SD35M_1K.base_vae, pretrained="black-forest-labs/FLUX.1-dev"),
    base_dit=replace(SD35M_1K.base_dit, family="flux", pretrained="black-forest-labs/FLUX.1-dev"),
    adapt=replace(SD35M_1K.adapt, train=replace(SD35M_1K.adapt.train, batch_size=64)),
    sample=replace(SD35M_1K.sample, guidance_scale=3.5, timestep_shift=0.5326),
)
"""FLUX.1-dev under the SD3.5 recipe: the paper's open question. Its guidance is an input of one
forward; its shift at 1,024 tokens is exp(0.63) on sigma, exp(-0.63) on t."""

PRESETS: dict[str, Experiment] = {
    "nano": NANO, "smoke": SMOKE, "tiny": TINY, "tiny_photos": TINY_PHOTOS,
    "imagenet512": IMAGENET512, "sd35m_1k": SD35M_1K, "sd35m_2k": SD35M_2K, "flux_1k": FLUX_1K,
}  # fmt: skip


@dataclass(frozen=True)
class Arms:
    """What the arms of an ablation start from."""

    adapt: Experiment
    """Questions about the transformer: the preset's DA-VAE, a shorter adaptation."""
    davae: Experiment
    """Questions of generation about the autoencoder: every arm trains a DA-VAE from a common start
    without alignment, which its seeds share."""
    davae_seeds: Experiment
    """Questions about the autoencoder itself: the same, and every seed trains its own."""


def without_alignment(davae: DetailConfig) -> DetailConfig:
    """The same DA-VAE with weight 0, in the mode that all such arms have, so that they share it."""
    return replace(davae, align_weight=0.0, align_mode="fixed", align_method="group_mean")


def arms_of(adapted: Experiment, davae_steps: int, statistics_crops: int = 10_000) -> Arms:
    """The arms of an adaptation, whose own DA-VAEs train for `davae_steps` under the paper's weight
    of the alignment.

    All start with the same body, trained without alignment, and with layers of the detail that are
    drawn anew, so that no arm is nearer to the start than another."""
    start = without_alignment(adapted.davae)
    short = replace(
        adapted.davae, align_weight=0.5, align_mode="gradient_ratio", fresh_detail=True,
        statistics_crops=statistics_crops,
        train=replace(adapted.davae.train, steps=davae_steps),
    )  # fmt: skip
    own = replace(
        adapted, davae=short, davae_start=start, shared_davae=False,
        decoder_start=replace(adapted.davae, detail_channels=0),
    )  # fmt: skip
    return Arms(adapted, replace(own, shared_davae=True), own)


def shorter(
    e: Experiment, steps: int, warmup_steps: int, lr: float, train_crops: int
) -> Experiment:
    """The adaptation of an arm, with 10 sampling steps, judged on 480 images, by another network
    too; `warmup_steps` is N_warm."""
    train = replace(e.adapt.train, steps=steps, lr=lr, lr_warmup_steps=20, ema_decay=0.99)
    adapt = replace(e.adapt, detail_warmup_steps=warmup_steps, train_crops=train_crops, train=train)
    sample = replace(e.sample, num_inference_steps=10)
    judged = replace(e.eval, count=480, also=(CONTENT, "effnet_lite2:input_px=224"))
    return replace(e, adapt=adapt, sample=sample, eval=judged)


SMOKE_ARM = shorter(SMOKE, 16, 4, 2e-3, 192)
SMOKE_ARM = replace(
    SMOKE_ARM,
    adapt=replace(SMOKE_ARM.adapt, check_crops=48),
    sample=replace(SMOKE_ARM.sample, num_inference_steps=4),
    eval=replace(SMOKE.eval, metrics=("psnr", "kd", *FACTS), count=48),
)
"""Every table and figure of every ablation in minutes; the quality has no meaning."""

ARMS: dict[str, Arms] = {
    "nano": arms_of(NANO, 4),
    "smoke": arms_of(SMOKE_ARM, 4, 192),
    "tiny": arms_of(shorter(TINY, 1_000, 300, 4e-3, 8_190), 1_000),
    "tiny_photos": arms_of(shorter(TINY_PHOTOS, 1_000, 300, 4e-3, 8_190), 1_000),
}
"""The arms of the presets that one machine can sweep; others have the preset's own.

At `tiny` an arm adapts for 1,000 steps, where effects can be seen in both directions (a pilot,
`adapt_length`; quality over an adaptation is in `init`). A DA-VAE of its own trains for 1,000 from
the shared start (docs/performance.md)."""
