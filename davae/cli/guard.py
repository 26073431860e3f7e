"""What every command does around its work: user errors in a line, Ctrl-C, and the exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable


def say(text: str) -> None:
    """Print at once, for progress."""
    print(text, flush=True)


def guard(
    action: Callable[[], object], stopped: str = "the same command goes on from the last checkpoint"
) -> int:
    """Run it; user errors, files that cannot be read or written among them, become one line and
    exit code 2, Ctrl-C exit code 130 and the word `stopped`."""
    try:
        action()
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except FloatingPointError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print(f"\nstopped; {stopped}", file=sys.stderr)
        return 130
    return 0
