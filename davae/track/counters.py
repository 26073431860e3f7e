"""Work counters of two revisions, compared exactly."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from davae.track.verdict import Verdict


@dataclass(frozen=True)
class Difference:
    """One number of one case that is not what it was; 0 where an operator is not called."""

    case: str
    counter: str
    """A counter, or an operator as `calls: aten.clone`."""
    before: int
    after: int

    def __str__(self) -> str:
        change = f"{self.after - self.before:+,}"
        return f"{self.case}: {self.counter} {self.before:,} -> {self.after:,} ({change})"


def flat(counters: dict[str, Any]) -> dict[str, int]:
    """Every number of a case's counters by a name of its own."""
    numbers: dict[str, int] = {}
    for name, value in counters.items():
        if isinstance(value, dict):
            numbers |= {f"{name}: {part}": count for part, count in value.items()}
        else:
            numbers[name] = value
    return numbers


def read_counters(path: Path) -> dict[str, Any]:
    """A file that `davae track counters --write` wrote; raises ValueError for another."""
    content = json.loads(path.read_text())
    if not isinstance(content, dict) or not {"torch", "cases"} <= content.keys():
        raise ValueError(f"{path} holds no counters; `davae track counters --write` makes them")
    return content


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[Difference]:
    """What differs between the counters of the cases that both have: calls of operators of all
    cases first, which name what is behind the rest."""
    found = []
    for case in sorted(counted(before) & counted(after)):
        old, new = flat(before[case]), flat(after[case])
        for name in sorted(old.keys() | new.keys()):
            if old.get(name, 0) != new.get(name, 0):
                found.append(Difference(case, name, old.get(name, 0), new.get(name, 0)))
    return sorted(found, key=lambda difference: not difference.counter.startswith("calls"))


def counted(cases: dict[str, Any]) -> set[str]:
    """The cases that ran."""
    return {case for case, counters in cases.items() if "error" not in counters}


def compare(
    before: dict[str, Any], after: dict[str, Any], whole: bool = True
) -> tuple[Verdict, list[str]]:
    """The verdict on two files of counters, {"torch": version, "cases": {name: counters}}, and its
    reasons.

    Any difference, fewer operators too, is a regression until the new counters are committed:
    what the code does has changed and someone has to say why. So is a case that fails now, and one
    that is gone, where `whole` says that the second file should hold all. invalid: two versions of
    torch; no baseline: a case that was not counted before, or failed."""
    if before["torch"].partition("+")[0] != after["torch"].partition("+")[0]:
        versions = f"torch {before['torch']} and {after['torch']}"
        return Verdict.INVALID, [f"{versions}: operators of two versions are not compared"]
    found = [
        f"{case}: {counters['error']}"
        for case, counters in after["cases"].items()
        if "error" in counters
    ]
    found += [str(d) for d in differences(before["cases"], after["cases"])]
    if whole:
        gone = sorted(before["cases"].keys() - after["cases"].keys())
        found += [f"{case}: not counted any more" for case in gone]
    if found:
        return Verdict.REGRESSION, found
    new = sorted(counted(after["cases"]) - counted(before["cases"]))
    if new:
        return Verdict.NO_BASELINE, [f"{case}: not counted before" for case in new]
    return Verdict.OK, []
