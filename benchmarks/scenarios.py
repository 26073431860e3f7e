"""The scenarios: what is timed, declared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Form = Literal["native", "widened"]
Stage = Literal[
    "denoise", "sample", "encode", "decode", "text", "text_clip", "train", "train_vae", "update",
    "draw", "features", "features_network", "forward",
]  # fmt: skip
Tier = Literal["cpu", "full_size", "gpu"]
FITS = 0
"""A batch of this is the largest one that fits into the device's memory."""


@dataclass(frozen=True)
class Scenario:
    """One case: a network, what it does, and at which size."""

    model: str
    """An entry of `benchmarks.networks.MODELS`, built with random weights; `dcae_f32c32`; an
    extractor, with its own weights; or, for the stage `forward`, the import path of your own
    (`--model`)."""
    stage: Stage
    """denoise: one forward of the transformer; sample: text, all steps with guidance, and the
    decoder; encode and decode: of an autoencoder; text: all text encoders, text_clip: the CLIP
    towers among them; train and train_vae: one step, optimizer included; update: its optimizer,
    EMA and log alone; draw: its batch alone; features: reading, resizing and an extractor on a
    folder of PNG files; features_network: the extractor's network alone, in batches of 32, the
    ceiling of the former; forward: one of your own model."""
    form: Form = "widened"
    """native: the pretrained transformer and VAE at the full resolution; widened: the DA-VAE and
    the transformer on its latents; fused, see `fused`."""
    batch: int = 1
    """FITS: the largest that fits, found by trying, at most 256."""
    resolution_px: int = 0
    """0: the preset's."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    compile: Literal["off", "regional", "whole"] = "off"
    """regional: every block by itself, which compiles once for all of them."""
    fused: bool = False
    """The widened transformer's two embedders and its two heads fused into one each."""
    steps: int = 0
    """Sampling steps; 0: the preset's."""
    guidance: float = 0.0
    """Its scale, 1 for none; 0: the preset's."""
    rounds: int = 10
    """1: of a run of many steps alike, whose first call warms it."""
    tier: Tier = "cpu"
    small: bool = False
    """A stand-in of a few thousand weights and a sixteenth of the side: so that what runs on a
    GPU is tested on a CPU."""

    @property
    def name(self) -> str:
        """As `tiny-widened-denoise-b32`; what differs from the defaults follows."""
        parts = [self.model, self.form, self.stage, f"b{self.batch or '_fits'}"]
        if self.resolution_px:
            parts.append(f"{self.resolution_px}px")
        if self.dtype != "float32":
            parts.append(self.dtype)
        if self.compile != "off":
            parts.append(f"compile_{self.compile}")
        if self.fused:
            parts.append("fused")
        if self.steps:
            parts.append(f"{self.steps}steps")
        if self.guidance:
            parts.append(f"guidance{self.guidance:g}")
        return "-".join(parts)


CPU: tuple[Scenario, ...] = (
    Scenario("tiny", "denoise", "native", batch=32),
    *(Scenario("tiny", "denoise", batch=batch) for batch in (1, 8, 32, 128)),
    Scenario("tiny", "denoise", batch=32, dtype="bfloat16"),
    Scenario("tiny", "denoise", batch=32, compile="regional"),
    Scenario("tiny", "denoise", batch=32, compile="whole"),
    Scenario("tiny", "denoise", batch=32, fused=True),
    Scenario("lightning_b1", "denoise", batch=8, rounds=5),
    Scenario("lightning_b1", "denoise", "native", batch=1, rounds=5),
    Scenario("imagenet512", "denoise", batch=1, rounds=3),
    Scenario("tiny", "encode", "native", batch=8),
    Scenario("tiny", "encode", batch=8),
    Scenario("tiny", "decode", "native", batch=8),
    Scenario("tiny", "decode", batch=8),
    Scenario("imagenet512", "encode", batch=2, resolution_px=256, rounds=4),
    Scenario("imagenet512", "decode", batch=2, resolution_px=256, rounds=4),
    Scenario("sd35m_1k", "decode", batch=1, resolution_px=256, rounds=4),
    Scenario("dcae_f32c32", "encode", "native", batch=2, resolution_px=256, rounds=4),
    Scenario("dcae_f32c32", "decode", "native", batch=2, resolution_px=256, rounds=4),
    Scenario("sd35m_1k", "text_clip", batch=1, rounds=4),
    Scenario("effnet_lite0", "features", "native", batch=256, resolution_px=256, rounds=3),
    Scenario("effnet_lite0", "features_network", "native", batch=32),
    Scenario("nano", "sample", batch=16),
    *(
        Scenario("nano", "sample", batch=16, steps=steps, guidance=scale)
        for steps in (4, 16)
        for scale in (1.0, 4.0)
    ),
    Scenario("tiny", "sample", batch=39, rounds=3),
    Scenario("nano", "train", batch=16, rounds=5),
    Scenario("tiny", "train", batch=24),
    Scenario("tiny", "train", batch=24, compile="whole"),
    Scenario("tiny", "update", batch=24),
    Scenario("tiny", "draw", batch=24),
    Scenario("lightning_b1", "train", batch=8, rounds=3),
    Scenario("tiny", "train_vae", batch=8, rounds=5),
    Scenario("imagenet512", "train_vae", batch=2, resolution_px=256, rounds=3),
)
"""What runs by default, on any machine."""
FULL_SIZE: tuple[Scenario, ...] = tuple(
    Scenario("sd35m_1k", "denoise", form, resolution_px=px, rounds=rounds, tier="full_size")
    for px, rounds in ((512, 5), (1024, 3))
    for form in ("native", "widened")
)
"""SD3.5-Medium's own shapes, on a CPU: 12 GB."""


def on_gpu(*scenarios: Scenario) -> tuple[Scenario, ...]:
    """The scenarios in bfloat16 and few rounds, of the tier gpu."""
    return tuple(
        replace(s, dtype="bfloat16", tier="gpu", rounds=1 if s.stage == "sample" else 5)
        for s in scenarios
    )


BFLOAT16: tuple[Scenario, ...] = on_gpu(
    *(
        Scenario("sd35m_1k", stage, form, batch=batch, resolution_px=px)
        for stage in ("denoise", "decode")
        for form in ("native", "widened")
        for px, batch in ((512, 10), (1024, 10), (2048, 2))
    ),
    *(Scenario("sd35m_1k", "sample", form, batch=10) for form in ("native", "widened")),
    *(
        Scenario("sd35m_1k", "sample", form, batch=2, resolution_px=2048)
        for form in ("native", "widened")
    ),
    Scenario("sd35m_1k", "denoise", batch=10, compile="regional"),
    Scenario("sd35m_1k", "denoise", batch=10, fused=True),
    Scenario("sd35m_1k", "denoise", batch=FITS),
    Scenario("sd35m_1k", "text", batch=10),
    Scenario("sd35m_1k", "encode", batch=4),
    *(Scenario("sd35m_1k", "denoise", batch=batch) for batch in (1, 4)),
    *(
        Scenario("flux_1k", "denoise", form, batch=1, resolution_px=px)
        for form in ("native", "widened")
        for px in (1024, 2048)
    ),
    *(Scenario("imagenet512", "denoise", form, batch=64) for form in ("native", "widened")),
    Scenario("imagenet512", "train", batch=64),
    Scenario("imagenet512", "train", batch=64, compile="whole"),
    Scenario("imagenet512", "decode", batch=16),
    Scenario("imagenet512", "encode", batch=16),
    Scenario("imagenet512", "train_vae", batch=4),
    Scenario("dcae_f32c32", "decode", "native", batch=16, resolution_px=512),
)
GPU = (
    *BFLOAT16,
    *(
        Scenario("sd35m_1k", stage, batch=10, tier="gpu", rounds=3)
        for stage in ("denoise", "decode")
    ),
)
"""The paper's settings on one GPU in bfloat16, and what float32 would take."""
SCENARIOS = (*CPU, *FULL_SIZE, *GPU)


def named(name: str) -> Scenario:
    """The scenario of this name; raises ValueError if there is none."""
    found = {scenario.name: scenario for scenario in SCENARIOS}
    if name not in found:
        raise ValueError(f"there is no scenario {name!r}; scenarios: {', '.join(found)}")
    return found[name]


if __name__ == "__main__":
    print("\n".join(scenario.name for scenario in SCENARIOS))
