"""What users of ablations get wrong is said before anything is trained, or by the arm itself."""

import sys
from dataclasses import replace
from functools import partial

import pandas as pd
import pytest

from ablations.__main__ import Judging, Options, seeds_of
from ablations.__main__ import sweep as command
from ablations._load import load
from ablations.init import ABLATION as INIT
from davae.analysis.findings import Claim
from davae.analysis.sweep_plots import means_figure
from davae.core import records
from davae.core.runtime import Runtime
from davae.stages.stage import Pipeline
from davae.sweep.execute import run_sweeps
from davae.sweep.launch import check_room, here, on_ray, tasks_of
from tests.sweep.running import TOY, sweep


def test_a_claim_of_a_metric_that_is_not_shown_is_refused():
    claim = Claim(text="t", published="", metric="valeu", a="a", b="b", direction="higher")
    with pytest.raises(ValueError, match="'t' is of valeu, which is not among its metrics: value"):
        replace(load(TOY), claims=(claim,))
    with pytest.raises(ValueError, match="is of valeu"):
        replace(load(TOY), claims=(replace(claim, metric="value", against="valeu"),))


def test_an_arm_of_which_nothing_is_measured_failed(tmp_path):
    toy = replace(load(TOY), metrics={"valeu": "value"}, claims=())
    one = replace(sweep(tmp_path, (0,)), load=lambda: toy)
    with pytest.raises(ValueError, match="every arm failed"):
        run_sweeps([one], partial(here, pipeline=Pipeline.at(tmp_path / "store", Runtime())))
    [error] = set(records.load_records(one.file)["error"])
    assert error.endswith("none of the metrics valeu is among what its stages toy gave")


@pytest.mark.parametrize(
    ("also", "said"),
    [
        ("effnet_lite9", "effnet_lite9"),
        ("effnet_lite0:input_px=224,blocks=3", "are one network at one depth"),
    ],
)
def test_a_judge_that_cannot_be_told_apart_or_is_unknown_is_refused_at_once(tmp_path, also, said):
    options = Options(
        name="components", preset="nano", eval=Judging(also=(also,)), out=tmp_path,
        store=tmp_path / "store",
    )  # fmt: skip
    with pytest.raises(ValueError, match=said):
        command(options, ())
    assert list(tmp_path.iterdir()) == []


def test_a_figure_of_what_was_not_measured_is_not_drawn(tmp_path):
    frame = pd.DataFrame(
        {"arm": ["a"], "seed": [0], "metric": ["x"], "protocol": ["p"], "value": [1.0]}
    )
    for x, panel in (("x", "y"), ("z", "x")):
        means_figure((tmp_path / "m.svg",), frame, (x, "title"), {panel: "panel"})
    assert list(tmp_path.iterdir()) == []


def test_arms_that_are_not_the_same_at_every_seed_are_named(tmp_path):
    toy = load(TOY)

    def arms(base):
        return toy.arms(base)[: 1 if base.seed else None]

    one = replace(sweep(tmp_path, (0, 1)), load=lambda: replace(toy, arms=arms, claims=()))
    absent = ", ".join(arm.name for arm in toy.arms(one.base)[1:])
    with pytest.raises(ValueError, match=f"no arm {absent} at seed 1: declare the same arms"):
        tasks_of(one)


def test_seeds_below_zero_are_refused():
    with pytest.raises(ValueError, match="--seeds -1 3: seeds are 0 or above"):
        seeds_of((-1, 3))


def test_what_a_seed_never_reaches_is_only_said_of_seeds_that_were_measured_throughout(tmp_path):
    rows = [
        {"series": "zero", "metric": "detail_accuracy", "level": level, "seed": seed, "value": v}
        for seed, values in enumerate([{0.25: 0.1, 1.0: 0.9}, {0.25: 0.1}, {0.25: 0.2, 1.0: 0.3}])
        for level, v in values.items()
    ]
    assert "| zero | 1 to 1, 1 seeds never | – |" in INIT.write(pd.DataFrame(rows), tmp_path)


def test_ray_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    launch = on_ray(tasks_of(sweep(tmp_path, (0,))), tmp_path, Runtime(), 1)
    with pytest.raises(ValueError, match=r"pip install davae\[ray\]"):
        next(launch)


def test_a_task_that_no_node_has_room_for_is_said(monkeypatch, capsys):
    nodes = [
        {"Alive": True, "Resources": {"CPU": 2.0}},
        {"Alive": True, "Resources": {"CPU": 2.0, "GPU": 1.0}},
        {"Alive": False, "Resources": {"CPU": 64.0}},
    ]
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    check_room(nodes, {"num_cpus": 2})
    check_room(nodes, {"num_gpus": 1})
    with pytest.raises(ValueError, match="needs 4 CPUs on one node, and Ray's largest has 2"):
        check_room(nodes, {"num_cpus": 4})
    with pytest.raises(ValueError, match="needs 1 GPUs on one node, and Ray's largest has 0"):
        check_room(nodes[:1], {"num_gpus": 1})
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    check_room(nodes[:1], {"num_gpus": 1})
    assert "arms wait until one joins" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\nABLATION = {'name': 'x'}\n", r"its ABLATION is a dict"),
        ("x = 1\n", r"defines no ABLATION = Ablation\(...\); see"),
        ("x = 1\ny = (\n", r"mine.py, line 2: SyntaxError: '\(' was never closed"),
        ("x = 1\nimport not_there_at_all\n", r"mine.py, line 2: ModuleNotFoundError: No module"),
        ("def f():\n    return 1 / 0\n\nf()\n", r"mine.py, line 2: ZeroDivisionError"),
    ],
)  # fmt: skip
def test_a_users_file_that_is_no_ablation_is_said_with_the_line(tmp_path, text, said):
    file = tmp_path / "mine.py"
    file.write_text(text)
    with pytest.raises(ValueError, match=said):
        load(str(file))
