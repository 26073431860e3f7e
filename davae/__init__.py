"""davae: a reference Detail-Aligned VAE, its ablations and its benchmarks."""

__version__ = "0.1.0"
