"""`davae convert`."""

from __future__ import annotations

import tyro

from davae.cli.guard import guard


def run(argv: list[str]) -> int:
    """Entry point."""
    from davae.models.checkpoints.convert import convert
    from davae.models.checkpoints.options import ConvertOptions

    options = tyro.cli(ConvertOptions, prog="davae convert", args=argv)
    return guard(lambda: print(convert(options)), "nothing was written")
