"""Switches that stand alone on the command line, beside fields that take a value."""

from __future__ import annotations

from collections.abc import Collection


def switched_on(argv: list[str], switches: Collection[str]) -> list[str]:
    """`argv` with the value True after every word of `switches`, as the parser wants it."""
    return [part for word in argv for part in ((word, "True") if word in switches else (word,))]
