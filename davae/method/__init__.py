"""The paper, in torch alone: one idea a file, each named with its equation."""
