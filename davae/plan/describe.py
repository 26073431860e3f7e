"""`davae plan`: what a preset would compute and cost.

Memory, days and img/s are predictions, each with its assumption beside it; none is a measurement.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from davae.core.data_config import FILES
from davae.core.experiment import Experiment
from davae.core.recipes import RELEASE, origins
from davae.core.runtime import Runtime
from davae.models.families.family import Architecture
from davae.models.unweighted import architecture, davae_config, tokens
from davae.plan.count import Count, count
from davae.plan.shares import PEAK_TFLOPS, Shares, said
from davae.plan.stages import CORES, forwards, stage_rows
from davae.stages.data import training_bytes
from davae.stages.fit import GPUS, SHARE

DAY = 86_400.0
PUBLISHED = {
    "imagenet512": "FID-50k 4.84, with guidance 1.68, at 80 epochs",
    "sd35m_1k": "1.03 img/s on one A100 (native 0.25), 5 H100-days, 20k steps",
    "sd35m_2k": "6.04 times the native model's img/s",
    "flux_1k": "native FLUX-dev: 0.04 img/s on one A100 (the adapted one is beyond the paper)",
}
"""The paper's figures, by preset."""


def human(count: float) -> str:
    """A number of FLOPs with its prefix."""
    for power, prefix in ((18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M")):
        if count >= 10**power:
            return f"{count / 10**power:,.3f} {prefix}FLOP"
    return f"{count:,.0f} FLOP"


def counted_lines(e: Experiment, counted: Count, arch: Architecture) -> list[str]:
    """What is exact."""
    side, features = (
        e.latent_size // e.base_dit.patch_size,
        davae_config(e).latent_channels * e.base_dit.patch_size**2,
    )
    closed = arch.closed_form(tokens(e), features)
    n = forwards(e)
    image, native = (
        n * counted.forward + counted.decode,
        n * counted.native_forward + counted.native_decode,
    )
    table = f", {counted.positions:,} fixed positions" if counted.positions else ""
    lines = {
        "autoencoder": f"{e.names()['davae']} over {e.names()['base']}",
        "image tokens": f"{tokens(e):,} ({side} x {side}); native {e.data.scale**2 * tokens(e):,}",
        "transformer": f"{counted.transformer:,} parameters, {counted.widened:,} more by "
        f"widening{table}",
        "  together": f"{counted.transformer + counted.widened + counted.positions:,}",
        "  trained": f"{counted.trained:,}, frozen "
        f"{counted.transformer + counted.widened + counted.lora - counted.trained:,}",
        "  LoRA": f"{counted.lora:,} of rank {e.adapt.lora_rank}" if counted.lora else "none",
        "text encoders": f"{counted.text:,} parameters, frozen" if counted.text else "none",
        "DA-VAE": f"{counted.davae_trained:,} trained, {counted.davae_frozen:,} frozen",
        "forward": f"{human(counted.forward)}; closed form {human(closed)} "
        f"({closed / counted.forward - 1:+.2%})",
        "native forward": f"{human(counted.native_forward)} at the same resolution",
        "decode": f"{human(counted.decode)}; the base VAE's, to the same size, "
        f"{human(counted.native_decode)}",
        "training step": f"{human(counted.training_step)} a sample, "
        f"{counted.training_step / counted.forward:.2f} forwards",
        "an image": f"{human(image)}: {n} forwards and a decode; native {human(native)}: "
        f"{native / image:.2f} times",
    }
    lines["text encoders"] += f"; a prompt {human(counted.prompt)}" if counted.text else ""
    lines["losses"] = f"{human(counted.losses)} an image: LPIPS, ConvNeXt, discriminator"
    for title, train, step in (
        ("DA-VAE, all", e.davae.train, counted.davae_step + counted.losses),
        ("adaptation, all", e.adapt.train, counted.training_step + counted.prompt),
    ):
        whole = human(step * train.batch_size * train.steps)
        lines[title] = f"{whole}: {train.steps:,} steps of {train.batch_size}"
    return [f"  {name:<18} {text}" for name, text in lines.items()]


def predicted_lines(e: Experiment, counted: Count, given: Shares) -> list[str]:
    """Images a second on each GPU: a prediction."""
    image = forwards(e) * counted.forward + counted.decode
    lines = []
    for gpu, peak in PEAK_TFLOPS.items():
        rate = peak * 1e12 * given.on(gpu).sampling / image
        lines.append(f"  {gpu:<5} {rate:10.3f} img/s: {said(gpu, given)}")
    return lines


@dataclass(frozen=True)
class Gpu:
    """What every stage is planned on, alone."""

    name: str = "h100"
    """An entry of GPUS."""
    memory_gib: float = 0.0
    """Where it is not the usual one of its name."""
    asked: Runtime = field(default_factory=lambda: Runtime("cuda"))
    """Settings that are asked for."""

    def __post_init__(self) -> None:
        if self.memory_gib < 0:
            raise ValueError(f"the GPU's memory is {self.memory_gib} GiB; give what it has")

    @property
    def room(self) -> float:
        """GiB of its memory."""
        return self.memory_gib or GPUS[self.name]


def planned(e: Experiment, counted: Count, given: Shares, gpu: Gpu) -> pd.DataFrame:
    """`stage_rows` of one GPU; raises ValueError where a stage does not fit it."""
    name = gpu.name.upper()
    return stage_rows(
        e, counted, memory_gib=gpu.room, tflops=PEAK_TFLOPS[name], shares=given.on(name),
        asked=gpu.asked,
    )  # fmt: skip


LEGEND = (
    "adapted: with the DA-VAE; control: the base model as it is or trained as long; tuned: by "
    "adapters at its own resolution; no_detail, *_decoded: by a decoder without detail; "
    "*_upsampled: enlarged."
)
"""Of the stages' names."""


def stage_lines(e: Experiment, rows: pd.DataFrame) -> list[str]:
    """The table of stages, and its sums."""
    lines = rows.to_string(index=False, na_rep="", float_format="{:.3g}".format).splitlines()
    days, disk = rows["hours"].sum() / 24, rows["disk GiB"].sum()
    more = rows["scratch GiB"].max()
    lines += [
        "",
        f"In all {days:.3g} GPU-days, judging on {CORES} cores among them, and {disk:,.0f} GiB of "
        f"disk, {more:,.0f} more while a stage measures.",
    ]
    lines.append(LEGEND)
    if e.data.name in FILES:
        lines.append(
            f"{training_bytes(e.data) / 2**30:,.0f} GiB of it are training crops, which are cut as "
            "they are used where they would take a quarter of the free space."
        )
    if e.base_dit.family == "lightning" and not e.base_dit.pretrained:
        lines.append(
            "Networks this small do not reach such shares on a GPU; training the base models is "
            "not in the days."
        )
    return [f"  {line}".rstrip() for line in lines]


def origin_lines(name: str, e: Experiment) -> list[str]:
    """Every setting with its source, and the release's value where that is another."""
    rows = origins(name, e)
    return [
        f"  {path:<32} {value:<28} {source:<8}{f' release: {apart}' if apart else ''}".rstrip()
        for path, value, source, apart in rows
    ]


def describe(
    name: str,
    e: Experiment,
    shares: Shares | None = None,
    gpu: Gpu | None = None,
    table: Path | None = None,
) -> str:
    """The text of `davae plan NAME`; table: a .csv file that the table of stages is written to.

    Raises ValueError where a stage does not fit the GPU."""
    if not e.davae.detail_channels or e.davae.detail_channels < 0:
        raise ValueError(
            "a plan compares the widened model with its base: davae.detail_channels must be above 0"
        )
    counted, arch = count(e), architecture(e)
    shares, gpu = shares or Shares(), gpu or Gpu()
    rows = planned(e, counted, shares, gpu)
    if table is not None:
        table.parent.mkdir(parents=True, exist_ok=True)
        rows.to_csv(table, index=False, float_format="%.6g")
    lines = [
        f"{name}: {e.base_dit.family}, {e.data.resolution_px} px, scale {e.data.scale}",
        "",
        "Counted on the networks as built (meta device)",
        *counted_lines(e, counted, arch),
        "",
        "Predicted, not measured",
        *predicted_lines(e, counted, shares),
        "",
        f"Every stage on one {gpu.name.upper()} of {gpu.room:g} GiB, {SHARE:.0%} of them planned "
        "with; predicted, memory from storages counted on networks without weights",
        *stage_lines(e, rows),
    ]
    if name in RELEASE:
        lines += ["", "Settings, and where they are from", *origin_lines(name, e)]
    if name in PUBLISHED:
        lines += ["", f"Published, for the preset as it stands: {PUBLISHED[name]}"]
    return "\n".join(lines)
