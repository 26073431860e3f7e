"""The pipeline as cached stages."""
