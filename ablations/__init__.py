"""Declared ablations, one question a file: `python -m ablations NAME`."""
