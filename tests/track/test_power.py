"""The noise of a machine, measured and simulated with."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.scenarios import CPU, FULL_SIZE
from davae.cli.track import PairedOptions
from davae.track.margins import Limit, read_margins
from davae.track.paired import Pairs, Processes
from davae.track.power import error_rates, measure_noise, power_table, read_noise
from davae.track.verdict import LEAST_PAIRS, Verdict

ROOT = Path(__file__).parents[2]
NOISE, MARGINS = ROOT / "results/cpu-2core/noise.json", ROOT / "benchmarks/margins.toml"


class Made(Processes):
    """Processes whose times scatter by `noise`, on a machine of a name."""

    def __init__(self, noise, cpu="a"):
        super().__init__({})
        self.random, self.noise, self.cpu, self.calls = np.random.default_rng(0), noise, cpu, 0

    def block(self, case):
        self.calls += 1
        self.check({"cpu": self.cpu})
        return np.exp(self.random.normal(0, self.noise, 4))


def test_pairs_are_kept_and_only_missing_ones_are_measured(tmp_path):
    file, made = tmp_path / "there" / "noise.json", Made(0.01)
    progress = measure_noise(file, ["a"], 8, made)
    assert next(progress) == ("a", 2)
    progress.close()  # interrupted
    assert list(measure_noise(file, ["a", "b"], 8, made))[-1] == ("b", 8)
    assert made.calls == 8 / 2 + 8 / 2
    kept = read_noise(file)
    assert [len(kept["cases"][case][side]) for case in "ab" for side in ("base", "head")] == [8] * 4
    with pytest.raises(RuntimeError, match="machine changed"):
        list(measure_noise(file, ["c"], LEAST_PAIRS, Made(0.01, cpu="other")))


def test_the_table_has_the_rates_of_its_noise(tmp_path):
    file = tmp_path / "noise.json"
    list(measure_noise(file, ["still"], 60, Made(0.005)))
    list(measure_noise(file, ["loud"], 60, Made(0.10)))
    table = power_table(read_noise(file), {"still": Limit(0.03), "loud": Limit(0.03)}, 10, (0.06,))
    still, loud = (row for _, row in table.set_index("case").iterrows())
    assert still["SD of a pair %"] == pytest.approx(100 * 0.005 * 2**0.5, rel=0.3)
    assert still["same: ok %"] > 99
    assert still["6% slower: regression %"] > 99
    assert loud["same: ok %"] < 50
    assert max(still["same: regression %"], loud["same: regression %"]) <= 1


def test_drift_within_blocks_counts_as_it_does_for_pairs():
    """Where the second base of every block is 10% slower than the first, the machine does not agree
    with itself: neither an ok nor a regression."""
    noise = Pairs([1.0, 1.1] * 10, [1.0, 1.1] * 10)
    rates = error_rates(noise, slowdown=0.0, limit=Limit(0.03), pairs=10, runs=20, seed=0)
    assert rates[Verdict.INVALID] == 1.0


@pytest.mark.skipif(not NOISE.exists(), reason="the noise has not been measured yet")
def test_the_committed_margins_have_the_rates_that_are_asked_for():
    """On the noise that was measured: ok in 90% of comparisons of a revision with itself, a
    regression in at most 1%, a 6% slowdown found in 95%."""
    kept, margins = read_noise(NOISE), read_margins(MARGINS)
    assert set(kept["cases"]) == set(margins.paired)
    limits = {case: margins.of(case) for case in kept["cases"]}
    table = power_table(kept, limits, PairedOptions("").pairs, (0.06,))
    assert (table["same: ok %"] >= 90).all()
    assert (table["same: regression %"] <= 1).all()
    assert (table["6% slower: regression %"] >= 95).all()


def test_every_scenario_of_a_cpu_has_a_margin():
    margins = read_margins(MARGINS)
    assert set(margins.cases) == {s.name for s in (*CPU, *FULL_SIZE)}
    assert set(margins.paired) <= set(margins.cases)


def test_wrong_margins_are_refused(tmp_path):
    file = tmp_path / "margins.toml"
    for entry in ("margin = 0.0", 'margin = 0.1\ndirection = "higher"'):
        file.write_text(f"paired = []\n[default]\n{entry}\n[cases]\n")
        with pytest.raises(ValueError, match="timed in seconds"):
            read_margins(file)
