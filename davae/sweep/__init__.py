"""Ablations: arms run over cached stages."""
