"""The tracker's own error rates, by simulation on noise that was measured."""

from __future__ import annotations

from collections import Counter

import numpy as np

from davae.track.verdict import Verdict, judge, judge_confirmed, of_ratios


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
