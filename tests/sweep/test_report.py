"""The table of an ablation's records."""

from dataclasses import replace

import pandas as pd
import pytest

from ablations.align_weight import ABLATION
from davae.sweep.front import pareto_text
from davae.sweep.report import summary_table, to_read


def test_what_the_seeds_of_an_arm_share_has_no_interval():
    rows = [
        {"arm": "a", "level": 0.0, "seed": seed, "metric": metric, "value": value, "protocol": ""}
        for seed in (0, 1)
        for metric, value in (("psnr_db", 30.0), ("content_accuracy", 0.5 + 0.1 * seed))
    ]
    metrics = {"psnr_db": "PSNR dB", "content_accuracy": "content"}
    ablation = replace(ABLATION, metrics=metrics, claims=())
    shared = summary_table(ablation, pd.DataFrame(rows), ["a"])
    assert list(shared) == ["arm", "level", "seeds", "PSNR dB", "content", "content ±"]
    apart = summary_table(replace(ablation, trains="davae_seeds"), pd.DataFrame(rows), ["a"])
    assert apart["PSNR dB ±"].item() == 0.0
    assert list(to_read(shared).columns) == ["arm", "level", "seeds", "PSNR dB", "content"]
    assert to_read(shared)["content"].item() == "0.55 ± 0.64"  # 12.71 * 0.05
    assert "level" not in to_read(shared.assign(level="a"))


@pytest.mark.parametrize(("low", "said"), [(1.0, "every arm collapsed"), (3.0, "too few to say")])
def test_a_front_where_details_collapsed(low, said):
    """As at smoke, where no detail is learnt: the table says so, and there is one."""
    values = {
        "psnr_db": (20.0, True),
        "gkd_effnet": (9.0, False),
        "effective_rank_z_d": (low, True),
    }
    rows = [
        {"arm": arm, "seed": 0, "metric": metric, "value": value, "higher_is_better": better,
         "extractor": "e" if "kd" in metric else "", "protocol": ""}
        for arm in ("a", "b")
        for metric, (value, better) in values.items()
    ]  # fmt: skip
    titles = {**ABLATION.metrics, "effective_rank_z_d": "rank"}
    ablation = replace(ABLATION, metrics=titles, floors={"effective_rank_z_d": 2.0})
    assert said in pareto_text(ablation, pd.DataFrame(rows))


def test_a_front_leaves_out_arms_of_fewer_seeds_and_says_so():
    """Of b, nearer and better reconstructed, three seeds; of c, worse in both; of d, one."""
    rows = [
        {"arm": arm, "seed": seed, "metric": metric, "value": value + scatter * seed,
         "higher_is_better": better, "protocol": ""}
        for arm, seeds, psnr, distance in (("a", 3, 30.0, 9.0), ("b", 3, 31.0, 8.0),
                                           ("c", 3, 29.0, 10.0), ("d", 1, 40.0, 1.0))
        for seed in range(seeds)
        for metric, value, better, scatter in (("psnr_db", psnr, True, 0.0),
                                               ("gkd_effnet", distance, False, 0.1))
    ]  # fmt: skip
    text = pareto_text(replace(ABLATION, floors={}), pd.DataFrame(rows))
    assert "Front of PSNR dB and gKD, 3 seeds. Left out, of fewer seeds: d (1)." in text
    assert "PSNR dB is one figure an arm" in text
    assert "gKD is one figure" not in text
    assert "| b | 1 |" in text
    assert "| a | 0 |" in text
    assert "| d |" not in text
