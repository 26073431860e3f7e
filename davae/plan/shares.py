"""Which share of a GPU's peak is reached: measured on random weights, or assumed."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

PEAK_TFLOPS = {"A100": 312.0, "H100": 989.0, "H200": 989.0}
"""Dense bfloat16 tensor-core peaks of the SXM boards, TFLOP/s, from the vendor's data sheets."""


@dataclass(frozen=True)
class Shares:
    """Shares of the GPU's dense bfloat16 peak; 0: as in SHARES."""

    sampling: float = 0.0
    """Whole samplings, text encoders and decoder included."""
    training: float = 0.0
    """Training steps of transformers, recomputed activations not counted as work."""
    autoencoder: float = 0.0
    """Training, encoding and decoding by autoencoders."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value <= 1:
                raise ValueError(f"the share of the peak in {name} is {value}; it lies in (0, 1]")

    def on(self, gpu: str) -> Shares:
        """These on an entry of SHARES, with its own in the place of 0."""
        given = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name)}
        return replace(SHARES[gpu], **given)


SHARES = {
    "A100": Shares(0.48, 0.31, 0.15),
    "H100": Shares(0.23, 0.15, 0.07),
    "H200": Shares(0.25, 0.17, 0.08),
}
"""H100 and H200: measured there, eagerly, in results/h100 and results/h200: the widened
SD3.5-Medium sampled at 1024 px, batch 10; a training step of LightningDiT-XL/1, batch 64; one of
its DA-VAE, batch 4. A100: 0.48 is what the paper's 1.03 img/s is by our count, the others are
assumed to be as many times the H100's."""
HOW = {
    "A100": "sampling as published, the rest assumed in proportion to an H100",
    "H100": "measured on one, eagerly, at random weights",
    "H200": "measured on one, eagerly, at random weights",
}
"""Where SHARES are from."""


def said(gpu: str, given: Shares) -> str:
    """The shares on a GPU and where they are from."""
    found = given.on(gpu)
    words = ", ".join(f"{name} {value:.0%}" for name, value in vars(found).items())
    whence = HOW[gpu] if given == Shares() else "as given; otherwise " + HOW[gpu]
    return f"{words} of {PEAK_TFLOPS[gpu]:.0f} TFLOP/s ({whence})"
