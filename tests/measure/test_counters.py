"""Work counters against hand-counted runs."""

import json
import subprocess
import sys
from dataclasses import asdict

import pytest
import torch
from torch import nn

from davae.measure.counters import GROUPS, count_work
from tests.small_models import small_dit

FLOAT = 4


def dit_forward():
    """A small DiT's forward on fixed inputs."""
    dit = small_dit()
    c = dit.config
    x = torch.zeros(2, c.in_channels, c.input_size, c.input_size)
    t, y = torch.full((2,), 0.5), torch.zeros(2).long()
    return torch.no_grad()(lambda: dit(x, t, y))


def test_a_product_is_counted_by_hand():
    x, w = torch.zeros(4, 8), torch.zeros(8, 16)
    work = count_work(lambda: x @ w)
    assert work.calls == {"aten.mm": 1}
    assert work.flops == 2 * 4 * 8 * 16
    assert work.bytes_read == (4 * 8 + 8 * 16) * FLOAT
    assert work.bytes_written == work.peak_live_bytes == 4 * 16 * FLOAT
    assert work.intensity == work.flops / (work.bytes_read + work.bytes_written)
    assert (work.groups["linear"], sum(work.groups.values())) == (1, 1)


def test_views_are_free_and_repeated_elements_count_once():
    x = torch.zeros(8, 1)
    work = count_work(lambda: x.expand(8, 100).view(8, 100).t())
    assert work.groups["view"] == sum(work.groups.values()) > 0
    assert work.bytes_read == work.bytes_written == work.peak_live_bytes == 0
    assert count_work(lambda: x.expand(8, 100) + 1).bytes_read == 8 * FLOAT


def test_the_peak_is_of_what_is_alive_at_once():
    x = torch.zeros(1000)

    def run():
        a = x + 1  # 1 made
        b = a + 1  # 2
        del a  # 1
        c = b + 1  # 2
        return c.add_(1)  # none

    assert count_work(run).peak_live_bytes == 2 * 1000 * FLOAT


class Block(nn.Module):
    """Products in modules of the usual names."""

    def __init__(self):
        super().__init__()
        self.attn = nn.Linear(4, 4)
        self.mlp = nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 4))
        self.head = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)
        self.conv = nn.Conv1d(2, 2, 1)

    def forward(self, x):
        return self.conv(self.head(self.mlp(self.norm(self.attn(x)))))


def test_groups_follow_operators_and_modules():
    block = Block()
    forward = count_work(torch.no_grad()(lambda: block(torch.zeros(3, 2, 4))))
    groups = dict.fromkeys(GROUPS, 0) | {
        "attention": 1, "mlp": 2, "linear": 1, "conv": 1, "norm": 1, "elementwise": 1, "copy": 1
    }  # fmt: skip
    assert {**forward.groups, "view": 0} == groups
    both = count_work(lambda: block(torch.zeros(3, 2, 4)).sum().backward())
    assert (both.groups["mlp"], both.groups["conv"]) == (6, 2)


def test_runs_and_processes_agree():
    run = dit_forward()
    works = [count_work(run) for _ in range(10)]
    assert all(work == works[0] for work in works)
    program = (
        "import json; from dataclasses import asdict;"
        "from davae.measure.counters import count_work;"
        "from tests.measure.test_counters import dit_forward;"
        "print(json.dumps(asdict(count_work(dit_forward()))))"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert json.loads(other.stdout) == asdict(works[0])


@pytest.mark.parametrize(
    ("change", "operator"),
    [
        (lambda x: x.t().contiguous().t(), "aten.clone"),
        (lambda x: x.double().float(), "aten._to_copy"),
        (lambda x: x.mul(1.0), "aten.mul"),
    ],
)
def test_a_stray_operator_shows(change, operator):
    x, w = torch.zeros(4, 8), torch.zeros(8, 16)
    plain = count_work(lambda: x @ w)
    changed = count_work(lambda: change(x) @ w)
    assert changed.calls[operator] > plain.calls.get(operator, 0)
    assert changed.bytes_written > plain.bytes_written


def test_a_lost_in_place_shows_in_name_and_peak():
    x = torch.zeros(1000)
    kept = count_work(lambda: (x + 1).mul_(2))
    lost = count_work(lambda: (x + 1).mul(2))
    assert kept.calls == {"aten.add": 1, "aten.mul_": 1}
    assert lost.calls == {"aten.add": 1, "aten.mul": 1}
    assert lost.peak_live_bytes == 2 * kept.peak_live_bytes


def test_waiting_for_a_value_is_counted():
    assert count_work(lambda: torch.ones(3).sum().item()).host_waits == 1
    assert count_work(lambda: torch.ones(3).sum()).host_waits == 0


def test_what_is_asked_for_counts_where_nothing_had_to_be_done():
    """On another dtype or layout it would have been a copy."""
    x, w = torch.zeros(4, 8), torch.zeros(8, 16)
    plain = count_work(lambda: x @ w)
    assert plain.asked == {}
    for change, asked in (
        (lambda x: x.float().contiguous(), {"contiguous": 1, "float": 1}),
        (lambda x: x.to(torch.float32), {"to": 1}),
    ):
        work = count_work(lambda change=change: change(x) @ w)
        assert work.asked == asked
        assert work.calls == plain.calls


def test_values_taken_to_the_host_make_it_wait():
    x = torch.ones(3)
    assert count_work(lambda: x.tolist()).host_waits == 1
    assert count_work(lambda: x.numpy()).host_waits == 1
    assert count_work(lambda: x.sum().item()).host_waits == 1


def test_a_product_without_a_formula_is_an_error():
    with pytest.raises(ValueError, match=r"no FLOP formula for aten\.mv"):
        count_work(lambda: torch.zeros(3, 3).mv(torch.zeros(3)))


def test_inference_mode_counts_the_same_operators():
    dit = small_dit()
    c = dit.config
    x = torch.zeros(2, c.in_channels, c.input_size, c.input_size)
    t, y = torch.full((2,), 0.5), torch.zeros(2).long()
    with torch.no_grad():
        plain = count_work(lambda: dit(x, t, y))
    with torch.inference_mode():
        inference = count_work(lambda: dit(x, t, y))
    for group in ("attention", "mlp", "linear", "conv", "copy"):
        assert inference.groups[group] == plain.groups[group], group
    assert inference.flops == plain.flops
    assert inference.peak_live_bytes == plain.peak_live_bytes


def test_a_mask_makes_the_host_wait_and_an_index_does_not():
    x, mask = torch.arange(4.0), torch.tensor([True, False, True, False])
    assert count_work(lambda: x[mask]).host_waits == 1
    assert count_work(lambda: x[torch.tensor([0, 1])]).host_waits == 0
