"""How much worse a case may become: what benchmarks/margins.toml says."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Direction = Literal["lower"]
"""What is better: cases are timed in seconds."""


@dataclass(frozen=True)
class Limit:
    """Of one case."""

    margin: float
    """As a share, above 0."""
    direction: Direction = "lower"


@dataclass(frozen=True)
class Margins:
    """Of every case."""

    default: Limit
    """Of a case without an entry."""
    cases: dict[str, Limit]
    paired: tuple[str, ...]
    """The cases that `davae track paired` times where none is named."""

    def of(self, case: str) -> Limit:
        """A case's own, by the scenario's name or as `test_scenario[NAME]`."""
        return self.cases.get(scenario(case), self.default)


def scenario(case: str) -> str:
    """`NAME` of `test_scenario[NAME]`."""
    return case.partition("[")[2].rstrip("]") or case


def read_margins(path: Path) -> Margins:
    """The file; raises ValueError for a margin that is not above 0 and for another direction."""
    content = tomllib.loads(path.read_text())
    limits = {name: Limit(**entry) for name, entry in content["cases"].items()}
    for name, limit in {"default": Limit(**content["default"]), **limits}.items():
        if limit.margin <= 0 or limit.direction not in get_args(Direction):
            raise ValueError(
                f"{path}, {name}: {limit.margin} and {limit.direction!r}; a margin is above 0 and "
                f"the direction {', '.join(get_args(Direction))}, for cases are timed in seconds"
            )
    return Margins(Limit(**content["default"]), limits, tuple(content["paired"]))
