"""Verdicts."""

from dataclasses import replace

import pandas as pd
import pytest

from davae.analysis.findings import (
    Claim,
    NotJudged,
    disagreements,
    findings_table,
    findings_view,
    judge,
    judge_all,
    limit,
)

FIVE = [(1.0, 2.0), (1.1, 2.2), (0.9, 1.9), (1.0, 2.1), (1.2, 2.2)]
"""Values of two arms, a seed a pair: the first lies below the second."""


@pytest.mark.parametrize(
    ("values", "direction", "verdict"),
    [
        (FIVE, "lower", "holds"),
        (FIVE, "higher", "does not hold"),
        ([*FIVE[:4], (5.0, 2.2)], "lower", "inconclusive"),
        (FIVE[:4], "lower", "exploratory"),
        (FIVE[:1], "lower", "exploratory"),
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
    with pytest.raises(NotJudged, match="different protocols at seed 0"):
        judge(claim, pd.DataFrame(rows))
    rows[1]["protocol"] = "q"  # as of another machine: a pair of one protocol
    assert judge(claim, pd.DataFrame(rows)).verdict == verdict


def test_a_distance_is_judged_under_each_extractor():
    values = {
        "x-8d": FIVE,
        "y-8d": [(b, a) for a, b in FIVE],
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
    judged = judge_all([claim, absent], pd.DataFrame(rows))
    findings = judged.findings
    assert judged.left == ["Not judged, for want of the arm c: "]
    assert [(f.extractor, f.verdict) for f in findings] == [
        ("x-8d", "holds"),
        ("y-8d", "does not hold"),
    ]
    assert disagreements(findings) == [
        "Protocols disagree: : holds on x-8d; does not hold on y-8d."
    ]


def frame_of(differences, metric="m"):
    rows = [
        {"arm": arm, "seed": seed, "metric": metric, "value": value, "protocol": "p"}
        for seed, difference in enumerate(differences)
        for arm, value in (("a", difference), ("b", 0.0))
    ]
    return pd.DataFrame(rows)


SMALL, LARGE = [0.1, -0.1, 0.05, -0.02, 0.03], [2.0, 2.1, 1.9, 2.2, 2.0]


@pytest.mark.parametrize(
    ("differences", "direction", "margin", "verdict"),
    [
        (SMALL, "equal", 1.0, "holds"),
        (LARGE, "equal", 1.0, "does not hold"),
        ([0.5, 1.5, -0.5, 2.0, 1.0], "equal", 1.0, "inconclusive"),
        (SMALL, "higher", 1.0, "no difference"),
        (SMALL, "higher", 0.0, "inconclusive"),
        (LARGE, "higher", 1.0, "holds"),
        (SMALL[:4], "equal", 1.0, "exploratory"),
    ],
)
def test_no_difference_is_a_finding_within_the_margin(differences, direction, margin, verdict):
    claim = Claim(
        text="t", published="", metric="m", a="a", b="b", direction=direction, margin=margin
    )
    assert judge(claim, frame_of(differences)).verdict == verdict


def test_effects_of_a_table_are_adjusted_and_mechanisms_are_not():
    values = [0.3, 1.0, 1.6, 2.2, 0.3]  # p = 0.0435
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
    assert 0.025 < judge(claims[0], frame).p < 0.05
    assert judge(claims[0], frame).verdict == "holds"  # alone
    assert [f.verdict for f in judge_all(claims, frame).findings] == [
        "inconclusive",
        "inconclusive",
        "holds",
        "holds",
    ]
    alone = findings_table(judge_all(claims[:1], frame_of([1.0])).findings)
    assert alone[["low", "high", "p", "detectable"]].isna().all(axis=None)
    assert findings_view(alone)["a - b"][0] == "1, one seed"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"direction": "equal"}, "give the margin"),
        ({"direction": "greater"}, "direction 'greater'; it is one of higher, lower, equal"),
        ({"kind": "fact"}, "kind 'fact'; it is one of mechanism, effect"),
        ({"ratio": True, "b": ""}, "give the arm b"),
    ],
)
def test_a_claim_that_cannot_be_meant_is_refused(wrong, said):
    claim = {"text": "t", "published": "", "metric": "m", "a": "a", "b": "b", "direction": "lower"}
    with pytest.raises(ValueError, match=said):
        Claim(**{**claim, **wrong})


def test_an_effect_whose_arm_has_not_run_counts_in_the_adjustment():
    frame = frame_of([0.3, 1.0, 1.6, 2.2, 0.3])  # p = 0.0435
    claim = Claim(text="t", published="", metric="m", a="a", b="b", direction="higher")
    absent = replace(claim, text="u", b="c")
    [found] = judge_all([claim, absent], frame).findings
    assert (found.verdict, found.family) == ("inconclusive", 2)
    assert found.p == pytest.approx(2 * judge(claim, frame).p)
    for uncounted in (replace(absent, kind="mechanism"), replace(absent, metric="n")):
        [found] = judge_all([claim, uncounted], frame).findings
        assert (found.verdict, found.family) == ("holds", 1)


def test_one_seed_of_a_ratio_has_no_interval():
    claim = Claim(text="t", published="", metric="m", a="a", b="b", direction="lower", ratio=True)
    shares = pd.DataFrame({"arm": ["a", "b"], "value": [3.0, 2.0]})
    table = findings_table([judge(claim, shares.assign(seed=0, metric="m", protocol=""))])
    assert table["difference"][0] == pytest.approx(0.5)
    assert table[["low", "high", "p", "detectable"]].isna().all(axis=None)
    assert findings_view(table)["a - b"][0] == "50%, one seed"


def test_a_share_beyond_meaning_is_detectable_by_that_alone():
    claim = Claim(text="t", published="", metric="m", a="a", b="b", direction="higher", ratio=True)
    rows = [(seed, arm, value) for seed, pair in enumerate(((30.0, 2.0), (3000.0, 2.0)))
            for arm, value in zip("ab", pair, strict=True)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["seed", "arm", "value"]).assign(metric="m", protocol="")
    [row] = findings_view(findings_table([judge(claim, frame)])).to_dict("records")
    assert row["verdict"] == "exploratory, detectable over 1000%"
    assert row["a - b"].startswith("1.49e+04% [")  # the geometric mean of 15 and 1,500, less 1
    fallen = findings_table([judge(replace(claim, direction="lower"), frame)])
    assert fallen["detectable"][0] == pytest.approx(1.0)  # nothing falls by more than all of it


def test_no_accuracy_can_differ_by_more_than_one():
    row = {"detectable": 5.05, "scale": "difference", "metric": "detail_accuracy"}
    assert limit(row) == "over 1"
    assert limit({**row, "detectable": 0.31}) == "0.31"
    assert limit({**row, "metric": "psnr_db"}) == "5.05"


def test_another_extractor_is_adjusted_in_a_family_of_its_own():
    values = [0.3, 1.0, 1.6, 2.2, 0.3]  # p = 0.0435
    distances = [
        frame_of(values).assign(protocol=f"{name}-8d-n9/00ff00ff00", metric="m") for name in "xy"
    ]
    frame = pd.concat([*distances, frame_of(values, "fact")])
    claims = [
        Claim(text=metric, published="", metric=metric, a="a", b="b", direction="higher")
        for metric in ("m", "fact")
    ]
    alone = judge(claims[1], frame).p
    found = {(f.claim.text, f.extractor): f for f in judge_all(claims, frame).findings}
    assert {name: f.family for name, f in found.items()} == {
        ("m", "x-8d"): 2, ("m", "y-8d"): 1, ("fact", ""): 2,
    }  # fmt: skip
    assert found["m", "y-8d"].p == pytest.approx(alone)
    assert found["m", "x-8d"].p == found["fact", ""].p == pytest.approx(2 * alone)
    detectable = findings_table(list(found.values()))["detectable"]
    assert detectable[0] == detectable[2] > detectable[1]  # a smaller level finds only more


def test_ratios_are_differences_of_logarithms_and_shown_as_shares():
    claim = Claim(
        text="t", published="", metric="m", a="a", b="b", direction="lower", ratio=True, margin=0.05
    )
    sizes = [1.0, 10.0, 100.0, 1000.0, 5.0]  # every seed of its own size, a 20% below b
    rows = [
        {"arm": arm, "seed": seed, "metric": "m", "value": value, "protocol": "p"}
        for seed, b in enumerate(sizes)
        for arm, value in (("a", (0.8 + 0.001 * seed) * b), ("b", b))
    ]
    found = judge(claim, pd.DataFrame(rows))
    assert found.verdict == "holds"
    row = findings_table([found]).iloc[0]
    assert row["scale"] == "share of b"
    assert row["difference"] == pytest.approx(-0.198, abs=1e-5)
    assert findings_view(findings_table([found]))["a - b"][0] == "-19.8% [-20%, -19.6%]"
    near = pd.DataFrame(
        [{**r, "value": r["value"] * (1.25 if r["arm"] == "a" else 1.0)} for r in rows]
    )
    assert judge(claim, near).verdict == "no difference"  # 1% is within 5%
    rows[0]["value"] = 0.0
    with pytest.raises(ValueError, match="a ratio of m, which is 0"):
        judge(claim, pd.DataFrame(rows))


def test_claims_that_cannot_be_judged_say_why():
    frame = frame_of(SMALL)
    claim = Claim(text="t", published="", metric="m", a="a", b="b", direction="higher")
    other = replace(claim, metric="n")
    only_a = frame[(frame["arm"] == "a") | (frame["seed"] > 4)]
    assert judge_all([other], frame).left == [
        "Not judged, for want of a seed with n of both arms: t"
    ]
    assert judge_all([claim], only_a).left == ["Not judged, for want of the arm b: t"]
    apart = pd.concat([only_a, frame[frame["arm"] == "b"].assign(seed=9)])
    assert "for want of a seed with m of both arms" in judge_all([claim], apart).left[0]


def test_claims_without_a_finding_share_a_sentence_by_reason():
    claim = Claim(text="t", published="", metric="m", a="a", b="c", direction="higher")
    claims = [claim, replace(claim, text="u"), replace(claim, text="v", b="d")]
    assert judge_all(claims, frame_of(SMALL)).left == [
        "Not judged, for want of the arm c: t; u",
        "Not judged, for want of the arm d: v",
    ]


def test_a_claim_may_compare_two_metrics_of_an_arm():
    claim = Claim(text="t", published="", metric="m", against="n", a="a", b="a", direction="higher")
    both = pd.concat([frame_of([v + 1 for v in LARGE]), frame_of(LARGE, "n")])
    [found] = judge_all([claim], both.assign(protocol="x-8d-n9/00ff00ff00")).findings
    assert found.difference.mean == pytest.approx(1.0)
    assert judge(replace(claim, a="b", b="a"), both).difference.mean == pytest.approx(-2.04)
    assert findings_table([found])["metric"][0] == "m - n"
    two = both.assign(protocol=["p" if m == "m" else "q" for m in both["metric"]])
    with pytest.raises(NotJudged, match="different protocols"):
        judge(claim, two)
    assert "different protocols" in judge_all([claim], two).left[0]


def test_seeds_that_change_nothing_give_no_verdict():
    claim = Claim(text="t", published="", metric="m", a="a", b="b", direction="higher")
    found = judge(claim, frame_of([1.0] * 5))
    assert found.verdict == "inconclusive"
    [row] = findings_view(findings_table([found])).to_dict("records")
    assert row["verdict"] == "inconclusive, the seeds are alike"
    assert found.p == 1.0


def test_an_effect_of_seeds_that_are_alike_counts_as_one_that_was_not_found():
    other = Claim(text="o", published="", metric="n", a="a", b="b", direction="higher")
    effect = replace(other, text="e", metric="m")
    values = frame_of([0.3, 1.0, 1.6, 2.2, 0.3])  # p = 0.0435
    alone = judge_all([effect], values).findings[0]
    beside = judge_all([effect, other], pd.concat([values, frame_of([1.0] * 5, "n")])).findings[0]
    assert (alone.verdict, beside.verdict) == ("holds", "inconclusive")
    assert beside.p == pytest.approx(2 * alone.p)


def test_a_claim_of_no_difference_takes_no_part_in_the_adjustment():
    values = [0.3, 1.0, 1.6, 2.2, 0.3]  # p = 0.0435
    effect = Claim(text="e", published="", metric="m", a="a", b="b", direction="higher")
    equal = Claim(text="q", published="", metric="m", a="a", b="b", direction="equal", margin=9.0)
    found = judge_all([effect, equal], frame_of(values)).findings
    assert [f.verdict for f in found] == ["holds", "holds"]
    assert pd.isna(found[1].p)
