"""Public checkpoints and ours, both ways."""
