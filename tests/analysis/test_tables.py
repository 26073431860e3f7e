"""Tables."""

import pandas as pd
import pytest

from davae.analysis.tables import doubtful, plus_minus, run_table, to_markdown
from reports.sections.runs import summary


def test_markdown_by_hand():
    table = pd.DataFrame({"a": ["x", "y"], "b": [1.23456, float("nan")], "c": [10, 20_000]})
    assert to_markdown(table).splitlines()[2:] == ["| x | 1.235 | 10 |", "| y | – | 20,000 |"]


def rows_of(extractors, arms=("a", "b"), seeds=(0,)):
    return [
        {"arm": arm, "level": arm, "seed": seed, "metric": "kd",
         "value": 10.0 * i + seed + (arm == "b"), "protocol": f"{extractor}-n40/0123456789"}
        for i, extractor in enumerate(extractors)
        for arm in arms
        for seed in seeds
    ]  # fmt: skip


def test_a_distance_has_a_column_an_extractor():
    frame = pd.DataFrame(rows_of(["effnet_lite0-b8-80d", "clip ViT-B-32-512d"]))
    table = run_table(frame)
    assert list(table.columns) == ["row", "kd", "kd on clip ViT-B-32-512d"]
    assert table["kd"].tolist() == [0.0, 1.0]
    assert table.iloc[:, 2].tolist() == [10.0, 11.0]
    frame.loc[1, "protocol"] = "effnet_lite0-b8-80d-n40/other00000".replace("other", "abcde")
    with pytest.raises(ValueError, match="different protocols"):
        run_table(frame)


def test_the_report_keeps_extractors_apart():
    rows = rows_of(["x-8d", "y-8d"], arms=("adapted",), seeds=(0, 1, 2))
    frame = pd.DataFrame(rows).assign(metric="gkd_effnet")
    table = summary(frame, ("gkd_effnet",))
    assert table["gKD"].tolist() == ["1.0 ± 2.5"]  # t(2) 1 / sqrt(3)
    assert table["gKD on y-8d"].tolist() == ["11.0 ± 2.5"]


def test_a_share_above_the_machines_rate_is_flagged():
    stages = pd.DataFrame({"stage": ["davae", "adapted", "crops"], "share": [0.6, 1.14, None]})
    assert "Shares above 1 (adapted) are none" in doubtful(stages)
    assert doubtful(stages[stages["stage"] != "adapted"]) == ""
    assert doubtful(stages[["stage"]]) == ""


def test_a_half_width_has_two_digits_and_its_mean_as_many_places():
    assert plus_minus(0.74371, 0.03913) == "0.744 ± 0.039"
    assert plus_minus(4344.2, 62.91) == "4,344 ± 63"
    assert plus_minus(12345.6, 1234.0) == "12,346 ± 1,234"
    assert plus_minus(0.25, 0.0) == plus_minus(0.25, float("nan")) == "0.25"
