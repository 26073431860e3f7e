"""Measuring: FLOPs and the machine's own ceilings."""
