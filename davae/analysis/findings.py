"""Verdicts on claims, computed from intervals over seeds, never written by hand."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from davae.analysis.stats import (
    LEVEL,
    Interval,
    detectable_effect,
    equal_margin,
    holm,
    paired_difference,
)
from davae.analysis.tables import cell, extractor_of

Direction = Literal["higher", "lower", "equal"]
Kind = Literal["mechanism", "effect"]
Verdict = Literal["holds", "does not hold", "no difference", "inconclusive", "exploratory"]
LEAST_SEEDS = 5
"""With fewer there is no verdict."""
CONDITIONS = (
    "Verdicts are computed from the paired differences over seeds: an effect holds or does not "
    "hold where its p-value, Holm-adjusted over the effects of the table, is below 0.05 (those "
    "under a second extractor are adjusted among themselves: they confirm, or do not; an effect "
    "that lacks an arm so far is counted with them); no difference is a finding where the 95% "
    "interval lies within the claim's margin. A mechanism is true by construction or nearly so, "
    "and is not adjusted for; nor is a claim of no difference, which the interval decides. With "
    "fewer than five seeds the sweep is exploratory and there is no verdict. A difference a - b in "
    "per cent is a share of b: logarithms were compared; in brackets is its 95% interval. "
    "Detectable is the difference that would be found in 80% of such sweeps, were it the smallest "
    "p-value of its family; of a claim of no difference the margin that would be kept in 80% of "
    "them, were there none. Intervals are conditional on what the seeds share: the base models, "
    "and the DA-VAE or the start that arms train theirs from."
)
"""What to know to read the table of findings."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """`metric` of arm `a` is `direction` than (or equal to) that of arm `b`, or than another metric
    of it, or than 0 where `b` is empty."""

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
    """The largest difference that does not matter, in the metric's unit or, by `ratio`, as a share;
    0: every one does."""
    ratio: bool = False
    """Compare logarithms: for what is above 0 and scatters by its own size, as a distance."""
    data: str = ""
    """The data set it is about; empty: any."""
    against: str = ""
    """Metric of `b` that is compared; empty: the same."""

    def __post_init__(self) -> None:
        for name, allowed in (("direction", get_args(Direction)), ("kind", get_args(Kind))):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"the claim {self.text!r} has the {name} {getattr(self, name)!r}; it is one of "
                    f"{', '.join(allowed)}"
                )
        if self.direction == "equal" and self.margin <= 0:
            raise ValueError(f"the claim {self.text!r} says equal: give the margin that it means")
        if self.ratio and not self.b:
            raise ValueError(f"the claim {self.text!r} is of a ratio: give the arm b it is one to")


@dataclass(frozen=True)
class Finding:
    """A claim, the paired difference a - b over seeds, and the verdict."""

    claim: Claim
    difference: Interval
    """Of logarithms, where the claim is about a ratio."""
    verdict: Verdict
    extractor: str = ""
    """Whose features a distance is on."""
    p: float = 1.0
    """Adjusted where the claim is an effect among others; NaN where it is of no difference, which
    the interval alone decides."""
    family: int = 1
    """Effects that it is adjusted with."""


def verdict_of(claim: Claim, difference: Interval, p: float) -> Verdict:
    """The verdict at a p-value, adjusted or not."""
    if difference.n < LEAST_SEEDS:
        return "exploratory"
    if difference.low == difference.high:
        return "inconclusive"  # seeds that change nothing are no seeds
    margin = math.log1p(claim.margin) if claim.ratio else claim.margin
    within = margin > 0 and max(abs(difference.low), abs(difference.high)) < margin
    if claim.direction == "equal":
        apart = difference.low > margin or difference.high < -margin
        return "holds" if within else "does not hold" if apart else "inconclusive"
    if within:
        return "no difference"
    if p >= LEVEL:
        return "inconclusive"
    return "holds" if (difference.mean > 0) == (claim.direction == "higher") else "does not hold"


class NotJudged(ValueError):
    """Why a claim cannot be judged from the rows that there are."""


def judge(claim: Claim, frame: pd.DataFrame) -> Finding:
    """The claim's finding by itself, from records with the columns arm, seed, metric and value.

    Raises NotJudged where an arm or its metric is missing, where no seed has both arms, where the
    two arms have different protocols at a seed (seeds of several, as speeds of two machines, are
    each a pair of one), and where a ratio is asked of values that are not above 0.
    """
    for arm in (claim.a, claim.b):
        if arm and not (frame["arm"] == arm).any():
            raise NotJudged(f"for want of the arm {arm}")
    of_b = claim.against or claim.metric
    a, b = (
        frame[(frame["metric"] == metric) & (frame["arm"] == arm)]
        for metric, arm in ((claim.metric, claim.a), (of_b, claim.b))
    )
    protocols = pd.concat([a, b]).groupby("seed")["protocol"].unique()
    for seed, found in protocols[protocols.map(len) > 1].items():
        raise NotJudged(f"for different protocols at seed {seed} ({' and '.join(sorted(found))})")
    by_seed = [dict(zip(part["seed"], part["value"], strict=True)) for part in (a, b)]
    if not claim.b:
        by_seed[1] = dict.fromkeys(by_seed[0], 0.0)
    elif claim.ratio:
        lowest = min((v for values in by_seed for v in values.values()), default=1.0)
        if lowest <= 0:
            raise NotJudged(f"for a ratio of {claim.metric}, which is {lowest:.4g}")
        by_seed = [{s: math.log(v) for s, v in values.items()} for values in by_seed]
    if not set(by_seed[0]) & set(by_seed[1]):
        raise NotJudged(f"for want of a seed with {claim.metric} of both arms")
    difference = paired_difference(by_seed[0], by_seed[1])
    alike = difference.low == difference.high  # seeds that change nothing say nothing
    p = math.nan if claim.direction == "equal" else 1.0 if alike else difference.p
    return Finding(claim, difference, verdict_of(claim, difference, p), p=p)


@dataclass(frozen=True)
class Judged:
    """The findings of a table, and why the other claims have none."""

    findings: list[Finding]
    left: list[str]
    """Sentences."""


def judge_all(claims: Sequence[Claim], frame: pd.DataFrame) -> Judged:
    """The findings of the claims, a distance's under each extractor; effects under the first one,
    and facts, are Holm-adjusted together, those under another one apart. An effect that lacks an
    arm so far is counted with them, at a p-value of 1: what is found does not change with it."""
    findings: list[Finding] = []
    left: dict[str, list[str]] = defaultdict(list)
    families, unjudged = defaultdict[str, list[int]](list), Counter[str]()
    for claim in claims:
        rows = frame["metric"].isin([claim.metric, claim.against])
        extractors = extractor_of(frame["protocol"]).where(rows, "")
        names = list(extractors[rows].unique()) if rows.any() else [""]
        for extractor in names:
            family = "" if extractor == names[0] else extractor
            adjusted = claim.kind == "effect" and claim.direction != "equal"
            try:
                finding = judge(claim, frame[~rows | (extractors == extractor)])
            except NotJudged as reason:
                left[str(reason)].append(claim.text)
                unjudged[family] += bool(adjusted and rows.any())
            else:
                if adjusted:
                    families[family].append(len(findings))
                findings.append(replace(finding, extractor=extractor))
    for family, members in families.items():
        size = len(members) + unjudged[family]
        adjusted_p = holm([*(findings[i].p for i in members), *[1.0] * unjudged[family]])
        for i, p in zip(members, adjusted_p[: len(members)], strict=True):
            found = findings[i]
            verdict = verdict_of(found.claim, found.difference, p)
            findings[i] = replace(found, p=p, verdict=verdict, family=size)
    return Judged(findings, [not_judged(reason, texts) for reason, texts in left.items()])


def not_judged(reason: str, texts: Sequence[str]) -> str:
    """A sentence on the claims that are not judged for one reason."""
    return f"Not judged, {reason}: {'; '.join(dict.fromkeys(texts))}"


def disagreements(findings: Sequence[Finding]) -> list[str]:
    """A sentence for every claim whose verdict is not the same under every extractor."""
    sentences = []
    for text in dict.fromkeys(f.claim.text for f in findings):
        found = [f for f in findings if f.claim.text == text]
        if len({f.verdict for f in found}) > 1:
            by = "; ".join(f"{f.verdict} on {f.extractor}" for f in found)
            sentences.append(f"Protocols disagree: {text}: {by}.")
    return sentences


OWN = ("claim", "kind", "data", "metric", "extractor", "scale", "difference", "low", "high",
       "margin", "seeds", "p", "verdict", "detectable", "published")  # fmt: skip
"""Columns of a table of findings."""
DECIDED = ("holds", "does not hold", "no difference")


def findings_table(findings: list[Finding], data: str = "") -> pd.DataFrame:
    """One row a finding: difference and its 95% interval, seeds, p and verdict; of a ratio as a
    share of b; gaps where there is one seed.

    data: the data set that the rows are of."""
    rows = []
    for f in findings:
        numbers = [f.difference.mean, f.difference.low, f.difference.high, detectable_of(f)]
        numbers = [value if math.isfinite(value) else math.nan for value in numbers]
        mean, low, high, detectable = np.expm1(numbers) if f.claim.ratio else numbers
        seeds = f.difference.n
        metric = " - ".join(filter(None, (f.claim.metric, f.claim.against)))
        row = (
            f.claim.text, f.claim.kind, f.claim.data or data, metric, f.extractor,
            "share of b" if f.claim.ratio else "difference", mean, low, high, f.claim.margin,
            seeds, f.p if seeds > 1 else math.nan, f.verdict, abs(detectable), f.claim.published,
        )  # fmt: skip
        rows.append(row)
    return pd.DataFrame(rows, columns=list(OWN))


def detectable_of(finding: Finding) -> float:
    """The difference, or the logarithm of the ratio, that such a sweep would find: below 0 where
    the claim is of a lower ratio, which cannot fall by more than all of it; NaN where all seeds
    differ alike, which says nothing of their scatter."""
    if finding.difference.low == finding.difference.high:
        return math.nan
    if finding.claim.direction == "equal":
        return equal_margin(finding.difference)
    effect = detectable_effect(finding.difference, LEVEL / finding.family)
    return -effect if finding.claim.ratio and finding.claim.direction == "lower" else effect


def findings_view(table: pd.DataFrame) -> pd.DataFrame:
    """A table of findings, or one read from its file, to be read: what belongs together in one
    cell, shares in per cent. Columns that it has beside those of findings come first."""
    rows = []
    for row in table.to_dict("records"):
        unit = percent if row["scale"] == "share of b" else cell
        undecided = row["verdict"] not in DECIDED and row["detectable"] == row["detectable"]
        said = f", detectable {limit(row)}" if undecided else ""
        said += ", smaller than the margin" if is_small(row) else ""
        said += ", the seeds are alike" if row["low"] == row["high"] else ""
        rows.append(
            {
                **{str(name): row[name] for name in table if name not in OWN},
                "claim": row["claim"] + (" (mechanism)" if row["kind"] == "mechanism" else ""),
                "metric": ", ".join(v for v in (row["metric"], row["extractor"]) if v and v == v),
                "a - b": with_interval(row, unit),
                "margin": unit(row["margin"]) if row["margin"] else None,
                "seeds": row["seeds"],
                "p": row["p"],
                "verdict": row["verdict"] + said,
                "published": row["published"] if row["published"] == row["published"] else "",
            }
        )
    return pd.DataFrame(rows)


def is_small(row: dict[Hashable, Any]) -> bool:
    """Whether an effect was found that is smaller than what the claim says matters."""
    found = row["verdict"] in ("holds", "does not hold") and row["p"] == row["p"]
    return found and abs(row["difference"]) < row["margin"]


def with_interval(row: dict[Hashable, Any], unit: Callable[[float], str]) -> str:
    """The difference of a row of findings with its 95% interval, where it has one."""
    if row["low"] != row["low"]:
        return f"{unit(row['difference'])}, one seed"
    return f"{unit(row['difference'])} [{unit(row['low'])}, {unit(row['high'])}]"


def limit(row: dict[Hashable, Any]) -> str:
    """The detectable difference of a row of findings; where no difference can be as large, or a
    share has no meaning any more, only that."""
    value = row["detectable"]
    if row["scale"] == "share of b":
        return percent(value) if value < 10 else "over 1000%"
    return "over 1" if row["metric"].endswith("_accuracy") and value > 1 else cell(value)


def percent(value: float) -> str:
    """A share in per cent."""
    return f"{100 * value:.3g}%"
