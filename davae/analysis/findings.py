"""Verdicts on claims, computed from intervals over seeds, never written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pandas as pd

from davae.analysis.stats import Interval, detectable_effect, holm, paired_difference
from davae.analysis.tables import extractor_of
from davae.core.records import check_same

Direction = Literal["higher", "lower", "equal"]
Kind = Literal["mechanism", "effect"]
Verdict = Literal["seen", "contradicted", "no difference", "undecided"]
LEVEL = 0.05
CONDITIONS = (
    "Verdicts are computed from the paired differences over seeds: an effect is seen or "
    "contradicted where its p-value, Holm-adjusted over the effects of the table, is below 0.05; "
    "no difference is a finding where the 95% interval lies within the claim's margin. A mechanism "
    "is true by construction or nearly so, and is not adjusted for. One seed decides nothing. "
    "Detectable is the difference that the test would find in 80% of such sweeps, unadjusted. "
    "Intervals are conditional on the base models, which the seeds share."
)
"""What to know to read the table of findings."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """`metric` of arm `a` is `direction` than (or equal to) that of arm `b`, or than 0 where `b` is
    empty."""

    text: str
    published: str
    """What the paper reports, with its table; empty if nothing."""
    metric: str
    a: str
    b: str
    direction: Direction
    kind: Kind = "effect"
    """mechanism: true by construction or nearly, as that noise in place of the detail costs PSNR;
    effect: can fail."""
    margin: float = 0.0
    """The largest difference that does not matter, in the metric's unit; 0: every one does."""
    data: str = ""
    """The data set it is about; empty: any."""

    def __post_init__(self) -> None:
        if self.direction == "equal" and self.margin <= 0:
            raise ValueError(f"the claim {self.text!r} says equal: give the margin that it means")


@dataclass(frozen=True)
class Finding:
    """A claim, the paired difference a - b over seeds, and the verdict."""

    claim: Claim
    difference: Interval
    verdict: Verdict
    extractor: str = ""
    """Whose features a distance is on."""
    p: float = 1.0
    """Adjusted where the claim is an effect among others."""


def verdict_of(claim: Claim, difference: Interval, p: float) -> Verdict:
    """The verdict at a p-value, adjusted or not."""
    if difference.n < 2:
        return "undecided"
    within = claim.margin > 0 and max(abs(difference.low), abs(difference.high)) < claim.margin
    if claim.direction == "equal":
        apart = difference.low > claim.margin or difference.high < -claim.margin
        return "seen" if within else "contradicted" if apart else "undecided"
    if within:
        return "no difference"
    if p >= LEVEL:
        return "undecided"
    return "seen" if (difference.mean > 0) == (claim.direction == "higher") else "contradicted"


def judge(claim: Claim, frame: pd.DataFrame) -> Finding:
    """The claim's finding by itself, from records with the columns arm, seed, metric and value.

    Raises ValueError where the two arms' rows have several protocols.
    """
    rows = frame[frame["metric"] == claim.metric]
    a, b = (rows[rows["arm"] == arm] for arm in (claim.a, claim.b))
    check_same([*a["protocol"], *b["protocol"]])
    by_seed = [dict(zip(part["seed"], part["value"], strict=True)) for part in (a, b)]
    difference = paired_difference(
        by_seed[0], by_seed[1] if claim.b else dict.fromkeys(by_seed[0], 0.0)
    )
    return Finding(claim, difference, verdict_of(claim, difference, difference.p), p=difference.p)


def judge_all(claims: Sequence[Claim], frame: pd.DataFrame) -> list[Finding]:
    """The findings of claims whose arms are there, a distance's under each extractor, the effects
    among them Holm-adjusted together."""
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
    effects = [i for i, f in enumerate(findings) if f.claim.kind == "effect"]
    for i, p in zip(effects, holm([findings[i].p for i in effects]), strict=True):
        found = findings[i]
        findings[i] = replace(found, p=p, verdict=verdict_of(found.claim, found.difference, p))
    return findings


def disagreements(findings: Sequence[Finding]) -> list[str]:
    """A sentence for every claim that is seen under one extractor and contradicted under
    another."""
    sentences = []
    for text in dict.fromkeys(f.claim.text for f in findings):
        by_verdict = {f.verdict: f.extractor for f in findings if f.claim.text == text}
        if {"seen", "contradicted"} <= set(by_verdict):
            sentences.append(
                f"Protocols disagree: {text} is seen on {by_verdict['seen']} and contradicted on "
                f"{by_verdict['contradicted']}."
            )
    return sentences


def findings_table(findings: list[Finding]) -> pd.DataFrame:
    """One row a finding: difference, interval, seeds, p and verdict."""
    return pd.DataFrame(
        [
            {
                "claim": f.claim.text, "kind": f.claim.kind, "data": f.claim.data,
                "metric": f.claim.metric, "extractor": f.extractor,
                "difference": f.difference.mean, "95% interval": f.difference.text(),
                "margin": f.claim.margin, "seeds": f.difference.n, "p": f.p, "verdict": f.verdict,
                "detectable": detectable_effect(f.difference),
                "published": f.claim.published,
            }
            for f in findings
        ]
    )  # fmt: skip
