"""What the fields of configs are checked by."""

from __future__ import annotations

from typing import Any


def unread(reason: str, **settings: tuple[Any, Any]) -> None:
    """Raise `ValueError` for every (value, default) that differs: a setting that nothing reads,
    for the reason given."""
    changed = [f"{name} is {value!r}" for name, (value, default) in settings.items()
               if value != default]  # fmt: skip
    if changed:
        raise ValueError(
            f"{'; '.join(changed)}: {reason}, so that it would do nothing; leave it at its default"
        )


def positive(**values: float) -> None:
    """Raise `ValueError` for every named value that is not above 0."""
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} is {value}; it must be above 0")
