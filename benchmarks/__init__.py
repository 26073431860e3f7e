"""Throughput cases for pytest-benchmark."""
