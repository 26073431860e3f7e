"""The noise of a machine, measured and simulated with."""

import numpy as np
import pytest

from davae.track.paired import Processes
from davae.track.power import measure_noise, power_table, read_noise
from davae.track.verdict import LEAST_PAIRS


class Made(Processes):
    """Processes whose times scatter by `noise`, on a machine of a name."""

    def __init__(self, noise, cpu="a"):
        super().__init__({})
        self.random, self.noise, self.cpu, self.calls = np.random.default_rng(0), noise, cpu, 0

    def seconds(self, case, side):
        self.calls += 1
        if self.machine and self.machine != {"cpu": self.cpu}:
            raise RuntimeError("the machine changed")
        self.machine = {"cpu": self.cpu}
        return float(np.exp(self.random.normal(0, self.noise)))


def test_pairs_are_kept_and_only_missing_ones_are_measured(tmp_path):
    file, made = tmp_path / "there" / "noise.json", Made(0.01)
    progress = measure_noise(file, ["a"], 8, made)
    assert next(progress) == ("a", 2)
    progress.close()  # interrupted
    assert list(measure_noise(file, ["a", "b"], 8, made))[-1] == ("b", 8)
    assert made.calls == 2 * (8 + 8)
    kept = read_noise(file)
    assert [len(kept["cases"][case][side]) for case in "ab" for side in ("base", "head")] == [8] * 4
    with pytest.raises(RuntimeError, match="machine changed"):
        list(measure_noise(file, ["c"], LEAST_PAIRS, Made(0.01, cpu="other")))


def test_the_table_has_the_rates_of_its_noise(tmp_path):
    file = tmp_path / "noise.json"
    list(measure_noise(file, ["still"], 60, Made(0.005)))
    list(measure_noise(file, ["loud"], 60, Made(0.10)))
    table = power_table(read_noise(file), {"still": 0.03, "loud": 0.03}, 10, (0.06,))
    still, loud = (row for _, row in table.set_index("case").iterrows())
    assert still["SD of a pair %"] == pytest.approx(100 * 0.005 * 2**0.5, rel=0.3)
    assert still["same: ok %"] > 99
    assert still["6% slower: regression %"] > 99
    assert loud["same: ok %"] < 50
    assert max(still["same: regression %"], loud["same: regression %"]) <= 1
