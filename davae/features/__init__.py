"""Pretrained feature extractors, for judging only: none is used in a training loss."""
