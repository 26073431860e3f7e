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

from davae.track.paired import Pairs, Processes
from davae.track.verdict import Verdict, judge, judge_confirmed, of_ratios

RUNS = 1000
"""Simulated comparisons a cell."""


def error_rates(
    noise: np.ndarray, *, slowdown: float, margin: float, pairs: int, runs: int, seed: int
) -> dict[Verdict, float]:
    """The share of `runs` that end in each verdict, where the head is 1 + `slowdown` times slower.

    noise: log ratios of pairs of one revision with itself, drawn from with replacement and centred,
    so that the truth is known. A run takes `pairs` pairs, and as many again where the first are
    not ok, as `paired` does."""
    centred = noise - np.mean(noise)
    random = np.random.default_rng(seed)
    verdicts: Counter[Verdict] = Counter()
    for _ in range(runs):
        first, second = np.log1p(slowdown) + random.choice(centred, (2, pairs))
        verdict = judge(of_ratios(first), margin)
        if verdict != Verdict.OK:
            verdict = judge_confirmed(first, second, margin)
        verdicts[verdict] += 1
    return {verdict: verdicts[verdict] / runs for verdict in Verdict}


def read_noise(file: Path) -> dict[str, Any]:
    """{"machine": ..., "cases": {case: {"base": seconds, "head": seconds}}}; empty where there is
    no file."""
    return json.loads(file.read_text()) if file.exists() else {"machine": {}, "cases": {}}


def measure_noise(
    file: Path, cases: Sequence[str], pairs: int, processes: Processes
) -> Iterator[tuple[str, int]]:
    """Take pairs of one revision with itself until every case has `pairs`, and keep them in `file`
    after every two; yields (case, pairs so far).

    Raises RuntimeError where the file is of another machine."""
    kept = read_noise(file)
    processes.machine = kept["machine"]
    for case in cases:
        times = Pairs(**kept["cases"].get(case, {}))
        while len(times.base) < pairs:
            times.extend(partial(processes.seconds, case), 2)
            kept["machine"] = processes.machine
            kept["cases"][case] = {"base": times.base, "head": times.head}
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(kept, indent=1) + "\n")
            yield case, len(times.base)


def power_table(
    kept: dict[str, Any], margins: dict[str, float], pairs: int, slowdowns: Sequence[float]
) -> pd.DataFrame:
    """A row a case: its noise, and how often a comparison of `pairs` pairs at the case's margin
    ends in each verdict where nothing changed and where the head is slower."""
    rows = []
    for case, times in kept["cases"].items():
        noise = Pairs(**times).ratios

        def rate(slowdown: float, noise: np.ndarray = noise, case: str = case) -> dict:
            return error_rates(
                noise, slowdown=slowdown, margin=margins[case], pairs=pairs, runs=RUNS, seed=0
            )

        same = rate(0.0)
        row = {
            "case": case, "pairs": len(noise), "SD of a pair %": 100 * float(np.std(noise, ddof=1)),
            "margin %": 100 * margins[case], "same: ok %": 100 * same[Verdict.OK],
            "same: regression %": 100 * same[Verdict.REGRESSION],
        }  # fmt: skip
        for slowdown in slowdowns:
            found = 100 * rate(slowdown)[Verdict.REGRESSION]
            row[f"{100 * slowdown:g}% slower: regression %"] = found
        rows.append(row)
    return pd.DataFrame(rows)
