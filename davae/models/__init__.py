"""The networks: base VAE, DA-VAE, DiT and the widening of a DiT."""
