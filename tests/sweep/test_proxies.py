"""The table of proxies from made-up rows."""

import pandas as pd
import pytest

from ablations.proxies import write


def test_every_measure_is_correlated_under_the_first_extractor(tmp_path):
    rows = []
    for i, arm in enumerate("abcdef"):
        values = {
            ("rkd_effnet", "x-8d-n9/00ff00ff00"): i,
            ("rkd_effnet", "y-8d-n9/00ff00ff00"): 9 - i,
            ("gkd_effnet", "x-8d-n9/00ff00ff00"): i * i,
            ("gkd_effnet", "y-8d-n9/00ff00ff00"): -i,
            ("knn_purity_z_d", "p"): -i,
            ("cka_z_d", "p"): 1.0,
        }
        rows += [
            {"arm": arm, "seed": 0, "metric": metric, "protocol": protocol, "value": float(value)}
            for (metric, protocol), value in values.items()
        ]
    text = write(pd.DataFrame(rows), tmp_path)
    found = pd.read_csv(tmp_path / "proxies.csv").set_index("measure")
    assert found["rank correlation"].to_dict() == pytest.approx(
        {"rKD": 1.0, "kNN purity of z_d": -1.0}  # CKA is alike in all arms
    )
    assert found["other networks"].to_dict() == pytest.approx(
        {"rKD": -1.0, "kNN purity of z_d": 1.0}
    )
    assert found["p"].tolist() == pytest.approx([2 * 2 / 720] * 2)  # 2 of 6! orderings, two tests
    assert "| rKD |" in text
    assert "rKD, gKD" in (tmp_path / "ranks.svg").read_text()
