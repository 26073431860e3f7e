"""Tracking speed: paired comparisons, work counters, history."""
