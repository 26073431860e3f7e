"""Records in, tables, figures and verdicts out; no torch."""
