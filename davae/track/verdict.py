"""Verdicts on a change of speed, from measurements taken in pairs.

A pair is one time of the base and one of the head, measured one after the other in fresh processes
on one machine. All is done on log(head / base): 0 is no change, log(1.1) a tenth slower.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.stats.mstats import trimmed_mean_ci

TRIMMED = 0.2
"""Share of the pairs left out at either end: bursts of a neighbour on the host are not the code."""
CONFIDENCE = 0.98
"""Two-sided; each bound is one-sided at 99%."""
LEAST_PAIRS = 6


class Verdict(StrEnum):
    """What a comparison says; only `ok` passes."""

    OK = "ok"
    REGRESSION = "regression"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"
    NO_BASELINE = "no baseline"


EXIT_CODES = {
    Verdict.OK: 0,
    Verdict.REGRESSION: 1,
    Verdict.INCONCLUSIVE: 3,
    Verdict.INVALID: 4,
    Verdict.NO_BASELINE: 5,
}


@dataclass(frozen=True)
class Change:
    """The log ratio head / base: trimmed mean, and a bound on either side."""

    estimate: float
    low: float
    high: float
    pairs: int

    @property
    def percent(self) -> tuple[float, float, float]:
        """Estimate, lower and upper bound of the slowdown in percent."""
        low, middle, high = (
            100 * math.expm1(value) for value in (self.low, self.estimate, self.high)
        )
        return middle, low, high


def of_ratios(ratios: np.ndarray, confidence: float = CONFIDENCE) -> Change:
    """The change from the pairs' log ratios: Tukey and McLaughlin's interval of the trimmed mean
    (1963)."""
    low, high = trimmed_mean_ci(ratios, limits=(TRIMMED, TRIMMED), alpha=1 - confidence)
    return Change((low + high) / 2, float(low), float(high), len(ratios))


def judge(found: Change, margin: float) -> Verdict:
    """ok: the upper bound lies below log(1 + margin); regression: the estimate lies above it and
    the lower bound above 0; inconclusive otherwise.

    Raises ValueError for a margin that is not above 0."""
    if margin <= 0:
        raise ValueError(f"the margin is {margin}; it must be above 0")
    limit = math.log1p(margin)
    if found.high < limit:
        return Verdict.OK
    if found.estimate > limit and found.low > 0:
        return Verdict.REGRESSION
    return Verdict.INCONCLUSIVE


def judge_confirmed(first: np.ndarray, second: np.ndarray, margin: float) -> Verdict:
    """The verdict on two sets of log ratios, of which the second is measured where the first is
    not ok.

    A regression must show in each set by itself; what one of them shows alone is inconclusive,
    unless both together are ok."""
    alone = [judge(of_ratios(part), margin) for part in (first, second)]
    if all(verdict == Verdict.REGRESSION for verdict in alone):
        return Verdict.REGRESSION
    together = judge(of_ratios(np.concatenate([first, second])), margin)
    return Verdict.OK if together == Verdict.OK else Verdict.INCONCLUSIVE


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on several cases: invalid, regression, no baseline, inconclusive and ok, the
    first that occurs."""
    order = (
        Verdict.INVALID,
        Verdict.REGRESSION,
        Verdict.NO_BASELINE,
        Verdict.INCONCLUSIVE,
    )
    return next((verdict for verdict in order if verdict in verdicts), Verdict.OK)
