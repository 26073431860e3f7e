"""Verdicts."""

import pytest

from davae.analysis.findings import Claim, judge, judge_all


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
    import pandas as pd

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
    import pandas as pd

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
