"""The history of a suite: one benchmark file a revision, and steps in it.

Times of different days are compared as ratios to a reference workload of the same file, the
machine's own product or, for what convolves, its own convolution, so that a slower host is no step.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

CONSECUTIVE = 2
"""Points that a step must last to be reported: one alone is an outlier."""
PENALTY = 3.0
"""Of a step, in variances of the noise times log n (the Bayesian information criterion is 1)."""


@dataclass(frozen=True)
class Step:
    """A lasting change of a case."""

    case: str
    revision: str
    """The first one after it."""
    factor: float
    """Median cost after it over the median before; above 1 is slower."""
    ago: int
    """Points since it, itself among them."""
    lasts: bool
    """Whether the case's last level is still that far from the one before the step."""


def read_history(folder: Path) -> pd.DataFrame:
    """A row a (file, case): time_utc, git_sha, case, median_s and `cost`, the median in units of
    the time that the case's ceiling takes for a TFLOP: the machine's own product where it has none.

    Raises ValueError where there are no benchmark files or one lacks a reference's rate."""
    rows = []
    for path in sorted(folder.glob("*.json")):
        report = json.loads(path.read_text())
        for case in report["benchmarks"]:
            median = case["stats"]["median"]
            reference = case["extra_info"].get("ceiling") or "matmul"
            try:
                rate = report["machine_info"]["davae"][f"{reference}_flops_per_second"]
            except KeyError as error:
                raise ValueError(f"{path} has no rate of the reference: {error}") from None
            rows.append(
                {
                    "time_utc": report["datetime"],
                    "git_sha": report["commit_info"]["git_sha"],
                    "case": case["name"],
                    "median_s": median,
                    "cost": median * rate / 1e12,
                }
            )
    if not rows:
        raise ValueError(f"there are no benchmark files (*.json) in {folder}")
    return pd.DataFrame(rows).sort_values("time_utc", kind="stable", ignore_index=True)


def change_points(values: Sequence[float] | np.ndarray) -> list[int]:
    """Indices at which the level of log `values` changes for at least CONSECUTIVE points.

    PELT (Killick et al. 2012) with a squared-error cost; the noise is estimated from the
    differences of neighbours, so that a step does not count as noise."""
    import ruptures

    x = np.log(np.asarray(values, np.float64))
    if len(x) < 2 * CONSECUTIVE:
        return []
    deviation = 1.4826 * float(np.median(np.abs(np.diff(x)))) / np.sqrt(2)
    penalty = PENALTY * max(deviation, 1e-6) ** 2 * np.log(len(x))
    found = ruptures.Pelt(model="l2", min_size=CONSECUTIVE, jump=1).fit(x[:, None])
    return found.predict(pen=penalty)[:-1]


def steps(history: pd.DataFrame, least: float) -> list[Step]:
    """The steps of every case whose level changes by the share `least` or more."""
    found = []
    for case, part in history.groupby("case", sort=True):
        costs = part["cost"].to_numpy()
        bounds = [0, *change_points(costs), len(costs)]
        levels = [float(np.median(costs[a:b])) for a, b in pairwise(bounds)]
        for i, here in enumerate(bounds[1:-1]):
            before, after = levels[i], levels[i + 1]
            sign = 1.0 if after > before else -1.0
            shifts = [
                *(sign * np.log(costs[here : here + CONSECUTIVE] / before)),
                *(sign * np.log(after / costs[here - CONSECUTIVE : here])),
            ]
            if min(shifts) < np.log1p(least):
                continue  # an outlier and its neighbour, on either side
            lasts = sign * np.log(levels[-1] / before) >= np.log1p(least)
            revision = part["git_sha"].iloc[here]
            found.append(Step(str(case), revision, after / before, len(costs) - here, bool(lasts)))
    return found
