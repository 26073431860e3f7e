"""Reports from records: `python -m reports`."""
