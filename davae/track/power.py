"""The tracker's own error rates, by simulation on noise that was measured: pairs of one revision
with itself."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from davae.track.margins import Limit
from davae.track.paired import Pairs, Processes, compare_case
from davae.track.verdict import Verdict

RUNS = 1000
"""Simulated comparisons a cell."""


def error_rates(
    noise: Pairs, *, slowdown: float, limit: Limit, pairs: int, runs: int, seed: int
) -> dict[Verdict, float]:
    """The share of `runs` comparisons, made as `paired` makes them, that end in each verdict, where
    the head is 1 + `slowdown` times slower.

    noise: pairs of one revision with itself. Their blocks (base, head, head, base) are drawn with
    replacement, the heads scaled so that the mean log ratio is 0 and the truth known."""
    replay = Replay(noise, slowdown, np.random.default_rng(seed))
    verdicts = Counter(
        compare_case("", replay.block, limit=limit, pairs=pairs).verdict for _ in range(runs)
    )
    return {verdict: verdicts[verdict] / runs for verdict in Verdict}


class Replay:
    """Blocks of times, each as it was measured."""

    def __init__(self, noise: Pairs, slowdown: float, random: np.random.Generator):
        base, head = np.array(noise.base), np.array(noise.head)
        head = head * (1 + slowdown) / np.exp(np.mean(noise.ratios))
        self.blocks = np.stack([base[::2], head[::2], head[1::2], base[1::2]], 1)
        self.random = random

    def block(self) -> list[float]:
        """One of them."""
        return list(self.random.choice(self.blocks))


def read_noise(file: Path) -> dict[str, Any]:
    """{"conditions": ..., "cases": {case: {"base": seconds, "head": seconds}}}; empty where there
    is no file."""
    return json.loads(file.read_text()) if file.exists() else {"conditions": {}, "cases": {}}


def measure_noise(
    file: Path, cases: Sequence[str], pairs: int, processes: Processes
) -> Iterator[tuple[str, int]]:
    """Take pairs of one revision with itself until every case has `pairs`, and keep them in `file`
    after every two; yields (case, pairs so far).

    Raises RuntimeError where the file was made under other conditions: another machine, torch or
    length of the measurement."""
    kept = read_noise(file)
    processes.conditions = kept["conditions"]
    for case in cases:
        times = Pairs(**kept["cases"].get(case, {}))
        while len(times.base) < pairs:
            times.extend(partial(processes.block, case), 2)
            kept["conditions"] = processes.conditions
            kept["cases"][case] = {"base": times.base, "head": times.head}
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(kept, indent=1) + "\n")
            yield case, len(times.base)


def power_table(
    kept: dict[str, Any], limits: dict[str, Limit], pairs: int, slowdowns: Sequence[float]
) -> pd.DataFrame:
    """A row a case: its noise, and how often a comparison of `pairs` pairs at the case's margin
    ends in each verdict where nothing changed and where the head is slower."""
    rows = []
    for case, times in kept["cases"].items():
        noise = Pairs(**times)

        def rate(slowdown: float, noise: Pairs = noise, case: str = case) -> dict:
            return error_rates(
                noise, slowdown=slowdown, limit=limits[case], pairs=pairs, runs=RUNS, seed=0
            )

        same = rate(0.0)
        row = {
            "case": case, "pairs": len(noise.base),
            "mean of a pair %": 100 * float(np.mean(noise.ratios)),
            "SD of a pair %": 100 * float(np.std(noise.ratios, ddof=1)),
            "margin %": 100 * limits[case].margin, "same: ok %": 100 * same[Verdict.OK],
            "same: regression %": 100 * same[Verdict.REGRESSION],
        }  # fmt: skip
        for slowdown in slowdowns:
            found = 100 * rate(slowdown)[Verdict.REGRESSION]
            row[f"{100 * slowdown:g}% slower: regression %"] = found
        rows.append(row)
    return pd.DataFrame(rows)
