"""Figures of the paper (DA-VAE, CVPR 2026, arXiv 2603.22125) that the page shows beside its own."""

IMG_S = {"native": 0.25, "enlarged": 1.03, "davae": 1.03}
"""SD3.5-Medium at 1024 px, one A100, bfloat16, batch 10 (Table 3)."""
SPEEDUP = {1024: 4.12, 2048: 6.04}
