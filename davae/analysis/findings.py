"""Verdicts on claims, computed from intervals over seeds, never written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from davae.analysis.stats import Interval, paired_difference
from davae.analysis.tables import extractor_of
from davae.core.records import check_same

Direction = Literal["higher", "lower"]
Verdict = Literal["seen", "contradicted", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """`metric` of arm `a` is `direction` than that of arm `b`, or than 0 where `b` is empty."""

    text: str
    published: str
    """What the paper reports, with its table; empty if nothing."""
    metric: str
    a: str
    b: str
    direction: Direction


@dataclass(frozen=True)
class Finding:
    """A claim, the paired difference a - b over seeds, and the verdict."""

    claim: Claim
    difference: Interval
    verdict: Verdict
    extractor: str = ""
    """Whose features a distance is on."""


def judge(claim: Claim, frame: pd.DataFrame) -> Finding:
    """The claim's finding from records with the columns arm, seed, metric and value.

    `seen` or `contradicted` if the 95% interval of the paired difference lies on one side of 0;
    `undecided` otherwise, in particular with a single seed. Raises ValueError where the two arms'
    rows have several protocols.
    """
    rows = frame[frame["metric"] == claim.metric]
    a, b = (rows[rows["arm"] == arm] for arm in (claim.a, claim.b))
    check_same([*a["protocol"], *b["protocol"]])
    by_seed = [dict(zip(part["seed"], part["value"], strict=True)) for part in (a, b)]
    difference = paired_difference(
        by_seed[0], by_seed[1] if claim.b else dict.fromkeys(by_seed[0], 0.0)
    )
    sign = 1 if claim.direction == "higher" else -1
    low, high = sorted((sign * difference.low, sign * difference.high))
    verdict: Verdict = "seen" if low > 0 else "contradicted" if high < 0 else "undecided"
    return Finding(claim, difference, verdict)


def judge_all(claims: Sequence[Claim], frame: pd.DataFrame) -> list[Finding]:
    """The findings of claims whose arms are there, a distance's under each extractor."""
    arms = {*frame["arm"], ""}
    findings = []
    for claim in claims:
        if not {claim.a, claim.b} <= arms:
            continue
        rows = frame[frame["metric"] == claim.metric]
        extractors = extractor_of(rows["protocol"])
        for extractor in extractors.unique():
            finding = judge(claim, rows[extractors == extractor])
            findings.append(replace(finding, extractor=extractor))
    return findings


def findings_table(findings: list[Finding]) -> pd.DataFrame:
    """One row a claim: difference, interval, seeds and verdict."""
    return pd.DataFrame(
        [
            {
                "claim": f.claim.text, "metric": f.claim.metric,
                "extractor": f.extractor, "difference": f.difference.mean,
                "95% low": f.difference.low, "95% high": f.difference.high, "seeds": f.difference.n,
                "verdict": f.verdict, "published": f.claim.published,
            }
            for f in findings
        ]
    )  # fmt: skip
