"""What the commands that take a preset share."""

from __future__ import annotations

import sys

from davae.core.experiment import Experiment
from davae.core.presets import PRESETS


def preset_of(command: str, argv: list[str], summary: str) -> tuple[str, Experiment, list[str]]:
    """(name, experiment, further arguments); prints help or an error and exits where there is no
    preset.

    `summary` is printed above the options, which are listed at the preset `smoke`.
    """
    usage = f"usage: davae {command} PRESET [options], PRESET one of {', '.join(PRESETS)}"
    if not argv or argv[0] in ("-h", "--help"):
        print(f"{usage}\n\n{summary}\n\nThe options, with their defaults at the preset 'smoke':\n")
        argv = ["smoke", "--help"]
    if argv[0] not in PRESETS:
        print(f"error: there is no preset {argv[0]!r}; {usage}", file=sys.stderr)
        sys.exit(2)
    return argv[0], PRESETS[argv[0]], argv[1:]
