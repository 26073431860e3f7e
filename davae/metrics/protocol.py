"""What changes a metric's value without changing the model, as a name and a hash."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from davae.config import digest


@dataclass(frozen=True)
class Protocol:
    """The protocol of a distance between features."""

    extractor: str
    weights: str
    """SHA-256 of the extractor's weights, first 12 digits."""
    dimensions: int
    resize: str
    quantisation: str
    ddof: int
    reference: str
    """The reference set: its name and the hash of its images."""
    samples: int

    def label(self) -> str:
        """`name/hash`, the `protocol` column of a record."""
        return f"{self.extractor}-{self.dimensions}d-n{self.samples}/{digest(asdict(self), 10)}"


def check_same(labels: list[str]) -> None:
    """Raise ValueError if figures of different protocols are about to be compared."""
    if len(set(labels)) > 1:
        raise ValueError(f"figures of different protocols cannot be compared: {', '.join(sorted(set(labels)))}")
