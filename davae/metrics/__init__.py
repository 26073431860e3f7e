"""Metrics: pure functions on images and features, each under a recorded protocol."""
