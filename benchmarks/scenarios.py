"""The scenarios: what is timed, declared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Form = Literal["native", "widened"]
Stage = Literal["denoise", "sample", "encode", "decode", "train"]


@dataclass(frozen=True)
class Scenario:
    """One case: a network of a preset, what it does, and at which size."""

    preset: str
    """An entry of PRESETS, whose networks are built with random weights."""
    stage: Stage
    """denoise: one forward; sample: all steps with guidance, then the decoder; encode and decode:
    of an autoencoder; train: one step, optimizer included."""
    form: Form = "widened"
    """native: the pretrained transformer and VAE at the full resolution; widened: the DA-VAE and
    the transformer on its latents."""
    batch: int = 1
    resolution_px: int = 0
    """0: the preset's."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    compile: Literal["off", "regional", "whole"] = "off"
    """regional: every block by itself, which compiles once for all of them."""
    rounds: int = 10
    tier: Literal["cpu", "full_size"] = "cpu"

    @property
    def name(self) -> str:
        """As `tiny-widened-denoise-b32`; what differs from the defaults follows."""
        parts = [self.preset, self.form, self.stage, f"b{self.batch}"]
        if self.resolution_px:
            parts.append(f"{self.resolution_px}px")
        if self.dtype != "float32":
            parts.append(self.dtype)
        if self.compile != "off":
            parts.append(f"compile_{self.compile}")
        return "-".join(parts)


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("tiny", "denoise", "native", batch=32),
    Scenario("tiny", "denoise", batch=32),
    Scenario("tiny", "denoise", batch=1),
    Scenario("tiny", "denoise", batch=32, dtype="bfloat16"),
    Scenario("tiny", "denoise", batch=32, compile="regional"),
    Scenario("tiny", "denoise", batch=32, compile="whole"),
    Scenario("tiny", "encode", "native", batch=8),
    Scenario("tiny", "encode", batch=8),
    Scenario("tiny", "decode", "native", batch=8),
    Scenario("tiny", "decode", batch=8),
    Scenario("nano", "sample", batch=16),
    Scenario("nano", "train", batch=16, rounds=5),
    Scenario("tiny", "train", batch=24, rounds=5),
    Scenario("sd35m_1k", "denoise", "native", resolution_px=1024, rounds=3, tier="full_size"),
    Scenario("sd35m_1k", "denoise", resolution_px=1024, rounds=3, tier="full_size"),
)


def named(name: str) -> Scenario:
    """The scenario of this name; raises ValueError if there is none."""
    found = {scenario.name: scenario for scenario in SCENARIOS}
    if name not in found:
        raise ValueError(f"there is no scenario {name!r}; scenarios: {', '.join(found)}")
    return found[name]
