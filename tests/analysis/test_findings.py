"""Verdicts."""

import pandas as pd
import pytest

from davae.analysis.findings import Claim, disagreements, findings_table, judge, judge_all


@pytest.mark.parametrize(
    ("values", "direction", "verdict"),
    [
        ([(1.0, 2.0), (1.1, 2.2), (0.9, 1.9)], "lower", "seen"),
        ([(1.0, 2.0), (1.1, 2.2), (0.9, 1.9)], "higher", "contradicted"),
        ([(1.0, 2.0), (3.0, 2.2), (0.9, 1.9)], "lower", "undecided"),
        ([(1.0, 2.0)], "lower", "undecided"),
    ],
)
def test_verdicts_come_from_the_interval(values, direction, verdict):
    rows = [
        {"arm": arm, "seed": seed, "metric": "m", "value": v, "protocol": "p"}
        for seed, pair in enumerate(values)
        for arm, v in zip("ab", pair, strict=True)
    ]
    claim = Claim(text="a against b", published="", metric="m", a="a", b="b", direction=direction)
    assert judge(claim, pd.DataFrame(rows)).verdict == verdict
    rows[0]["protocol"] = "q"
    with pytest.raises(ValueError, match="different protocols"):
        judge(claim, pd.DataFrame(rows))


def test_a_distance_is_judged_under_each_extractor():
    values = {
        "x-8d": [(1.0, 2.0), (1.1, 2.2), (0.9, 1.9)],
        "y-8d": [(2.0, 1.0), (2.2, 1.1), (1.9, 0.9)],
    }
    rows = [
        {
            "arm": arm,
            "seed": seed,
            "metric": "m",
            "value": v,
            "protocol": f"{extractor}-n9/00ff00ff00",
        }
        for extractor, pairs in values.items()
        for seed, pair in enumerate(pairs)
        for arm, v in zip("ab", pair, strict=True)
    ]
    claim = Claim(text="", published="", metric="m", a="a", b="b", direction="lower")
    absent = Claim(text="", published="", metric="m", a="a", b="c", direction="lower")
    findings = judge_all([claim, absent], pd.DataFrame(rows))
    assert [(f.extractor, f.verdict) for f in findings] == [
        ("x-8d", "seen"),
        ("y-8d", "contradicted"),
    ]
    assert disagreements(findings) == [
        "Protocols disagree:  is seen on x-8d and contradicted on y-8d."
    ]


def frame_of(differences, metric="m"):
    rows = [
        {"arm": arm, "seed": seed, "metric": metric, "value": value, "protocol": "p"}
        for seed, difference in enumerate(differences)
        for arm, value in (("a", difference), ("b", 0.0))
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("differences", "direction", "margin", "verdict"),
    [
        ([0.1, -0.1, 0.05], "equal", 1.0, "seen"),
        ([2.0, 2.1, 1.9], "equal", 1.0, "contradicted"),
        ([0.5, 1.5, -0.5], "equal", 1.0, "undecided"),
        ([0.1, -0.1, 0.05], "higher", 1.0, "no difference"),
        ([0.1, -0.1, 0.05], "higher", 0.0, "undecided"),
        ([2.0, 2.1, 1.9], "higher", 1.0, "seen"),
        ([0.1], "equal", 1.0, "undecided"),
    ],
)
def test_no_difference_is_a_finding_within_the_margin(differences, direction, margin, verdict):
    claim = Claim(
        text="t", published="", metric="m", a="a", b="b", direction=direction, margin=margin
    )
    assert judge(claim, frame_of(differences)).verdict == verdict


def test_effects_of_a_table_are_adjusted_and_mechanisms_are_not():
    values = [1.0, 1.6, 2.2]  # p = 0.045
    frame = pd.concat([frame_of(values, name) for name in "mn"])
    claims = [
        Claim(
            text=f"{kind} {metric}",
            published="",
            metric=metric,
            a="a",
            b="b",
            direction="higher",
            kind=kind,
        )
        for kind in ("effect", "mechanism")
        for metric in "mn"
    ]
    assert judge(claims[0], frame).verdict == "seen"  # alone
    assert [f.verdict for f in judge_all(claims, frame)] == [
        "undecided",
        "undecided",
        "seen",
        "seen",
    ]
    assert findings_table(judge_all(claims[:1], frame_of([1.0])))["95% interval"][0] == "one seed"
    with pytest.raises(ValueError, match="give the margin"):
        Claim(text="t", published="", metric="m", a="a", b="b", direction="equal")
