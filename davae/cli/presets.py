"""What the commands that take a preset share."""

from __future__ import annotations

import sys
from typing import get_args

from davae.core.experiment import Experiment
from davae.core.presets import PRESETS
from davae.core.recipes import Recipe, at_recipe

RECIPE = "--recipe"


def preset_of(command: str, argv: list[str], summary: str) -> tuple[str, Experiment, list[str]]:
    """(name, experiment, further arguments); prints help or an error and exits where there is no
    preset.

    `summary` is printed above the options, which are listed at the preset `smoke`. The words
    `--recipe paper` and `--recipe release` choose among `davae.core.recipes`.
    """
    usage = (
        f"usage: davae {command} PRESET [--recipe paper|release] [options], PRESET one of "
        f"{', '.join(PRESETS)}"
    )
    if not argv or argv[0] in ("-h", "--help"):
        print(f"{usage}\n\n{summary}\n\nThe options, with their defaults at the preset 'smoke':\n")
        argv = ["smoke", "--help"]
    if argv[0] not in PRESETS:
        print(f"error: there is no preset {argv[0]!r}; {usage}", file=sys.stderr)
        sys.exit(2)
    try:
        recipe, rest = taken(argv[1:])
        return argv[0], at_recipe(argv[0], recipe), rest
    except ValueError as error:
        print(f"error: {error}; {usage}", file=sys.stderr)
        sys.exit(2)


def taken(argv: list[str]) -> tuple[Recipe, list[str]]:
    """(the recipe, the other words); raises ValueError for another recipe, or where none follows
    the word."""
    if RECIPE not in argv:
        return "paper", argv
    at = argv.index(RECIPE)
    named = argv[at + 1] if at + 1 < len(argv) else ""
    if named not in get_args(Recipe):
        raise ValueError(f"{RECIPE} {named}: one of {', '.join(get_args(Recipe))}")
    return named, argv[:at] + argv[at + 2 :]  # type: ignore[return-value]
