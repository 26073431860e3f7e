"""The declarative description of an experiment: frozen dataclasses of JSON primitives.

Everything that changes a result is here and is hashed into the keys of the stages that read it;
everything that only changes speed or place is in `davae.core.runtime.Runtime` and is never hashed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from tyro.conf import Suppress

from davae.core.checks import positive, unread
from davae.core.data_config import DataConfig
from davae.core.hashing import option


@dataclass(frozen=True)
class TrainConfig:
    """One training run: optimizer (AdamW), learning-rate schedule and EMA."""

    steps: int = 1_000
    batch_size: int = 32
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.0
    lr_warmup_steps: int = 50
    lr_schedule: Literal["constant", "cosine"] = "constant"
    """After the warm-up: constant, or a half cosine to 0 at the last step."""
    ema_decay: float = 0.0
    """0: no average; otherwise d_n = min(decay, (1 + n) / (10 + n))."""
    clip_grad_norm: float = 0.0
    """0: no clipping (the paper's setting)."""
    round_weights: bool = option(False, neutral=False)
    """Round the weights to bfloat16 at the end, so that a file of half the size holds them exactly.
    """
    snapshots: tuple[int, ...] = option((), neutral=())
    """Steps after which the (averaged) weights are kept as well."""
    epochs: bool = option(False, neutral=False)
    """Take every sample once an epoch, in an order of its own each time; otherwise draw them with
    replacement, which in a single epoch misses a third."""

    def __post_init__(self) -> None:
        positive(batch_size=self.batch_size, lr=self.lr)
        if self.steps < 0:
            raise ValueError(f"steps is {self.steps}; it must be 0 or more")
        late = [n for n in self.snapshots if not 0 < n < self.steps]
        if late:
            raise ValueError(f"snapshots {late} do not lie between 0 and the {self.steps} steps")
        if not 0.0 <= self.ema_decay < 1.0:
            raise ValueError(f"ema_decay is {self.ema_decay}; it lies in [0, 1)")


@dataclass(frozen=True)
class BaseVAEConfig:
    """The pretrained VAE of the base resolution: a path, or a small AutoencoderKL trained here."""

    pretrained: str = ""
    """A folder or hub name of a diffusers AutoencoderKL; empty: train the architecture below."""
    subfolder: str = option("", neutral="")
    """Where `pretrained` is a pipeline: the folder of its VAE, `vae`."""
    latent_channels: int = 4
    block_out_channels: tuple[int, ...] = (32, 64, 128)
    """One width a level; the factor f is 2 ** (levels - 1)."""
    layers_per_block: int = 1
    norm_num_groups: int = 32
    mid_attention: bool = False
    kl_weight: float = 1e-4
    """Weight of mean(mu^2 + sigma^2 - 1 - log sigma^2) beside the mean L1 in [-1, 1]."""
    l2_weight: float = option(0.0, neutral=0.0)
    """Weight of the mean squared error, beside the mean L1, which alone gives up hues."""
    haar_weight: float = option(0.0, neutral=0.0)
    """Weight of the mean L1 of the images' Haar detail, without which fine lines come late."""
    train: TrainConfig = TrainConfig()

    def __post_init__(self) -> None:
        if self.pretrained:
            reason = "base_vae.pretrained names a trained one"
            unread(reason, train=(self.train, TrainConfig()), kl_weight=(self.kl_weight, 1e-4),
                   l2_weight=(self.l2_weight, 0.0),
                   haar_weight=(self.haar_weight, 0.0))  # fmt: skip


@dataclass(frozen=True)
class FlowConfig:
    """The flow x_t = t x1 + (1 - t) noise: how t is drawn in training."""

    t_mean: float = 0.0
    t_std: float = 1.0
    """t = sigmoid(t_mean + t_std N(0, 1)): logit-normal."""
    timestep_shift: float = option(1.0, neutral=1.0)
    """t' = s t / (1 + (s - 1) t) of that; diffusers' shift of 4 on sigma = 1 - t is 1/4 here."""


@dataclass(frozen=True)
class BaseDiTConfig:
    """The diffusion transformer pretrained on the base latents."""

    family: str = option("lightning", neutral="lightning")
    """lightning: the class-conditional DiT of `davae.models.dit`; sd3, flux: the text-to-image
    transformer of a diffusers pipeline, with the pretrained one's architecture. An entry of
    FAMILIES (`davae.models.families`)."""
    pretrained: str = ""
    """lightning: a folder saved by `davae` (DiT.from_pretrained), empty: train the architecture
    below; sd3, flux: a folder or hub name of the whole pipeline."""
    hidden_size: int = 192
    depth: int = 4
    num_heads: int = 6
    patch_size: int = 1
    qk_norm: bool = True
    class_dropout: float = 0.1
    """Probability that training replaces the label, or the prompt, by the null one."""
    train: TrainConfig = TrainConfig()

    def __post_init__(self) -> None:
        if self.pretrained:
            unread("base_dit.pretrained names a trained one", train=(self.train, TrainConfig()))


@dataclass(frozen=True)
class DetailConfig:
    """The detail branch and its training (Eq. 1, 3, 4 and 6)."""

    detail_channels: int = 12
    """D; 0 trains the same decoder on the base latent alone."""
    detail_dropout: float = 0.1
    """Probability that a sample's whole detail is dropped at the decoder's input in training."""
    align_weight: float = 0.02
    """lambda_align of Eq. 6."""
    align_method: Literal["group_mean", "learned", "cosine_distance", "generation"] = option(
        "group_mean", neutral="group_mean"
    )
    """What aligns: Proj of Eq. 4; a 1x1 projection trained with the VAE, started from Proj; or
    VA-VAE's two terms, the cosine of Proj(z_d) with z at every position and the distance matrices
    over positions (`davae.method.alignment`); or features of the frozen base transformer
    (`davae.train.generation`; lightning)."""
    align_mode: Literal["fixed", "gradient_ratio"] = "fixed"
    """fixed: lambda itself; gradient_ratio: lambda |grad nll| / (|grad align| + 1e-4), detached."""
    align_clamp: float = 1e8
    """Upper bound of the gradient ratio."""
    kl_weight: float = 1e-6
    l1_weight: float = option(1.0, neutral=1.0)
    l2_weight: float = option(0.0, neutral=0.0)
    """Weight of the mean squared error."""
    haar_weight: float = option(0.0, neutral=0.0)
    """Weight of the L1 of the three detail coefficients of the 2x2 Haar transform: what the base
    image does not show."""
    pyramid_weight: float = 0.0
    """Weight of the Laplacian-pyramid L1, beside the plain L1."""
    lpips_weight: float = 0.0
    """Weight of LPIPS-VGG; needs its downloaded weights."""
    convnext_weight: float = option(0.0, neutral=0.0)
    """Weight of the squared difference of ConvNeXt-S's class scores (in the authors' SD3.5 VAE
    training, 0.1; `davae.features.convnext`); needs its downloaded weights."""
    gan_weight: float = 0.0
    """Weight of the PatchGAN term, relative to the gradient of the nll (the paper: 0.1)."""
    gan_start_step: int = 0
    gan_clamp: float = 1e4
    init_from_base: bool = True
    """Start the detail encoder and the decoder from the base VAE's weights."""
    statistics_crops: int = option(10_000, neutral=10_000)
    """The first training crops, at most, whose modes give the detail's mean and deviation; 0:
    all."""
    fresh_detail: bool = option(False, neutral=False)
    """Where training goes on from another DA-VAE: draw the layers that read or write the detail
    anew, so that no number of detail channels has a head start."""
    freeze_encoder: bool = option(False, neutral=False)
    """Train the down and up blocks and the decoder only (the launch script of the authors' SD3.5
    variant)."""
    clamp_base: bool = option(False, neutral=False)
    """Clamp the reduced image to [-1, 1] before the base encoder (the SD3.5 variant)."""
    train: TrainConfig = TrainConfig()

    def __post_init__(self) -> None:
        if self.detail_channels < 0:
            raise ValueError(f"detail_channels is {self.detail_channels}; it must be 0 or more")
        if not 0 <= self.detail_dropout < 1:
            raise ValueError(f"detail_dropout is {self.detail_dropout}; it lies in [0, 1)")
        if self.align_mode == "fixed" and self.align_clamp != 1e8:
            raise ValueError(
                "align_clamp bounds the gradient ratio, which align_mode 'fixed' does not use"
            )
        if not self.align_weight and self.align_method != "group_mean":
            raise ValueError(
                f"align_method is {self.align_method!r} and align_weight 0, so that it does nothing"
            )
        if not self.gan_weight and (self.gan_start_step, self.gan_clamp) != (0, 1e4):
            raise ValueError("gan_start_step and gan_clamp do nothing while gan_weight is 0")


@dataclass(frozen=True)
class AdaptConfig:
    """Widening the base DiT by D channels and fine-tuning it (Eq. 12 and 13)."""

    init: Literal["zero", "random", "random_in", "random_out", "repeat", "reset", "scratch"] = (
        "zero"
    )
    """How the new channels' layers start, see `davae.method.widen`; scratch: the whole network is
    drawn anew, as random."""
    schedule: Literal["cosine", "linear", "sigmoid", "step", "constant"] = "cosine"
    """w(n) of Eq. 12, or another curve to 1 at N_warm, or 1 from the first step
    (`davae.method.schedule`)."""
    detail_warmup_steps: int = 500
    """N_warm of Eq. 12."""
    cosine_weight: float = 0.0
    """Weight of 1 - cos(prediction, target) over all channels (in the authors' code, not Eq. 13).
    """
    min_snr_gamma: float = option(0.0, neutral=0.0)
    """Above 0: the velocity error of a sample at t is weighted by s^2 min((1 - s) / s, gamma) with
    s = 1 - t (in the authors' SD3.5 training, with 5; not in Eq. 13)."""
    detail_lag: tuple[float, float] = option((0.0, 0.0), neutral=(0.0, 0.0))
    """lightning: the detail is denoised behind the base, by a lag drawn uniformly between the two
    for every sample (`davae.method.flow.lagged_times`); (0, 0): with it, as in the paper."""
    train_crops: int = option(0, neutral=0)
    """How many of the cached training crops are encoded and trained on, the first ones; 0: all."""
    check_crops: int = option(0, neutral=0)
    """How many of the held-out and of the fresh crops are encoded, the first ones; 0: all."""
    lora_rank: int = option(0, neutral=0)
    """Rank of the adapters that are trained with the widened layers, alpha = rank; 0: none. Without
    them sd3 and flux train the widened layers alone, and lightning every weight."""
    stored_prompts: bool = option(False, neutral=False)
    """sd3, flux: whether the prompts are encoded once and stored, 3 MB a prompt with T5, or at
    every step."""
    train: TrainConfig = TrainConfig()

    def __post_init__(self) -> None:
        if self.schedule == "constant":
            warmup = {"detail_warmup_steps": (self.detail_warmup_steps, 500)}
            unread("schedule 'constant' has no warm-up", **warmup)
        if not 0 <= self.detail_lag[0] <= self.detail_lag[1]:
            raise ValueError(f"detail_lag is {self.detail_lag}; give two lags, 0 <= least <= most")


@dataclass(frozen=True)
class SampleConfig:
    """Integration of dx/dt = v from t = 0 (noise) to t = 1 (data)."""

    num_inference_steps: int = 25
    solver: Literal["euler", "heun"] = "euler"
    guidance_scale: float = 4.0
    """Classifier-free guidance on all channels; 1: none."""
    guidance_interval: tuple[float, float] = (0.0, 1.0)
    """Guidance acts while the shifted t lies in it (the paper's ImageNet setting: 0.2 to 1)."""
    timestep_shift: float = 1.0
    """t' = s t / (1 + (s - 1) t)."""
    batch_size: int = 39
    detail_lag: float = option(0.0, neutral=0.0)
    """How far the detail is denoised behind the base, in units of t; at as many forwards."""

    def __post_init__(self) -> None:
        if self.detail_lag and self.solver != "euler":
            raise ValueError(f"solver is {self.solver!r}; with a detail_lag it is euler")
        if self.guidance_scale == 1.0:
            interval = (self.guidance_interval, (0.0, 1.0))
            unread("guidance_scale 1 is no guidance", guidance_interval=interval)


RUN_METRICS = ("psnr", "ssim", "pd", "kd", "fd")
"""What a run measures unless told otherwise."""
FACTS = ("detail_accuracy", "detail_amplitude", "detail_purity", "content_accuracy")
"""What it measures on drawn scenes as well: the facts that they show."""


@dataclass(frozen=True)
class EvalConfig:
    """Metrics and what they are computed on."""

    extractor: str = "effnet_lite0"
    """The first judge, an entry of EXTRACTORS with the options input_px and blocks; `also` names
    others."""
    input_px: int = 64
    """Images are resized to this side (clean-fid's PIL bicubic, no quantisation) for the distances.
    """
    blocks: int = 8
    """Inverted-residual blocks of the extractor that are run for the distances: 8 give 80 features,
    3 give 24. The Frechet distance needs eval_crops of at least 10 times the features."""
    probe_px: int = 32
    """The linear probe sees images reduced to this side: it judges content, not fine texture."""
    probe_blocks: int = 15
    """Blocks run for the probe: 15 give 192 features."""
    metrics: tuple[str, ...] = option(RUN_METRICS, neutral=RUN_METRICS)
    """Entries of METRICS: those of pairs and of features judge reconstructions, those of features
    and of classes generation."""
    count: int = option(0, neutral=0)
    """Crops that reconstructions are judged on, and samples; 0: data.eval_crops."""
    also: tuple[str, ...] = option((), neutral=())
    """Further extractors that judge everything again, each under its own protocol, as
    `effnet_lite0:input_px=224,blocks=15`."""

    @property
    def judges(self) -> tuple[str, ...]:
        """The extractors of the distances, the first one first."""
        return (f"{self.extractor}:input_px={self.input_px},blocks={self.blocks}", *self.also)

    @property
    def probe(self) -> str:
        """The extractor of the linear probe."""
        return f"{self.extractor}:input_px={self.probe_px},blocks={self.probe_blocks}"


@dataclass(frozen=True)
class Experiment:
    """The whole of what a run computes. `dataclasses.replace` makes an arm of an ablation."""

    data: DataConfig = field(default_factory=DataConfig)
    base_vae: BaseVAEConfig = BaseVAEConfig()
    base_dit: BaseDiTConfig = BaseDiTConfig()
    davae: DetailConfig = DetailConfig()
    adapt: AdaptConfig = AdaptConfig()
    flow: FlowConfig = FlowConfig()
    sample: SampleConfig = SampleConfig()
    eval: EvalConfig = EvalConfig()
    method: str = "davae"
    """davae: the method; control: the base model trained as many FLOPs longer as the
    adaptation takes, its images enlarged bicubically (the matched-token control);
    base_upsampled: the same without the training. An entry of METHODS
    (`davae.stages.methods`)."""
    seed: int = 0
    """Seed of the DA-VAE (but see `shared_davae`), the adaptation, the control and the samples."""
    base_seed: int = 0
    """Seed of the base DiT, which several `seed`s share."""
    sample_seed: int | None = option(None, neutral=None)
    """Seed of the samples' noise; None: `seed`. Several of them judge one adapted model."""
    snapshot_step: int = option(0, neutral=0)
    """Sample the adapted transformer as it was after this many steps, one of
    adapt.train.snapshots; 0: at the end."""
    data_seed: int = option(0, neutral=0)
    """Seed of the crops and of the base VAE."""
    autoencoder_data: tuple[Literal["photos", "scenes"], ...] = option((), neutral=())
    """Data sets whose crops together train the autoencoders; empty: the experiment's own."""
    shared_davae: bool = option(False, neutral=False)
    """Whether the DA-VAE has the seed of the data, so that several `seed`s share it."""
    davae_start: Annotated[DetailConfig | None, Suppress] = field(
        default=None, metadata={"neutral": None}
    )
    """The DA-VAE, a stage of its own with the seed of the data, whose weights this one starts from,
    so that arms that differ in the DA-VAE need not each train one from the base VAE; None: from
    the base VAE."""

    decoder_start: Annotated[DetailConfig | None, Suppress] = field(
        default=None, metadata={"neutral": None}
    )
    """The same for the decoder without detail that stands beside such a DA-VAE."""

    def __post_init__(self) -> None:
        generation = self.davae.align_method == "generation"
        if generation and self.base_dit.family != "lightning":
            raise ValueError(
                f"align_method 'generation' is for lightning, not {self.base_dit.family!r}"
            )
        lagged = any(self.adapt.detail_lag)
        if lagged and self.base_dit.family != "lightning":
            raise ValueError(f"adapt.detail_lag: family {self.base_dit.family!r} has no such time")
        if self.sample.detail_lag and not lagged:
            raise ValueError(
                "sample.detail_lag needs a model that was adapted with adapt.detail_lag"
            )
        kept = self.adapt.train.snapshots
        if self.snapshot_step and self.snapshot_step not in kept:
            raise ValueError(
                f"snapshot_step is {self.snapshot_step}; adapt.train.snapshots keeps {kept}"
            )

    @property
    def base_factor(self) -> int:
        """f: pixels of the base image a latent position."""
        return 2 ** (len(self.base_vae.block_out_channels) - 1)

    @property
    def base_px(self) -> int:
        """Side of the base image."""
        return self.data.resolution_px // self.data.scale

    @property
    def latent_size(self) -> int:
        """h = w of both latents."""
        return self.base_px // self.base_factor

    def names(self) -> dict[str, str]:
        """The f/c/p names of the base and the widened model, computed from the config."""
        c, p, f = self.base_vae.latent_channels, self.base_dit.patch_size, self.base_factor
        wide = c + self.davae.detail_channels
        return {"base": f"f{f}c{c}p{p}", "davae": f"f{f * self.data.scale}c{wide}p{p}"}
